// Matrix multiplication of operands narrower than f32, packed as 32-bit words, f32 sums; raw pointers, knows no tensors. In the variant
// avx512_bf16 a word is two bf16 numbers that follow each other along K, elsewhere it is one f32 that holds the rounded number. E4M3 values with
// power-of-two scales are bf16 numbers, so both precisions multiply without a further rounding. In avx512_fp16 FP8 multiplies in half precision
// (half_tile_cpu.h). See Note [Narrow sums] in narrow_gemm.cpp.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "kernels/precision.h"

namespace finback {

// The register tile of the variant for a precision, and how K is laid out in it.
struct WordTile {
  int64_t rows, columns;  // of the tile; at most 16 and 64
  int64_t b_words;        // of one step of a panel of B; half the columns where a word holds two of them
  int64_t k_a_word;       // 2 for pairs of bf16, else 1
  int64_t header;         // words of scales before every piece
  void (*block)(int64_t rows, int64_t columns, int64_t depth, const float* a, const float* b, float* c, int64_t ldc, bool accumulate);
};
WordTile word_tile(Precision precision);

// A stretch of K: at most 128 rows of what is packed, whose words (header included) begin at `word` and do not depend on its neighbours.
struct Piece {
  int64_t first, rows;
  int64_t word;
};
// Rows [first, end) in pieces of at most 128 that begin anew at every cut. REQUIRES: first and end are among the ascending cuts.
std::vector<Piece> pieces_between(std::span<const int64_t> cuts, int64_t first, int64_t end, const WordTile& tile);
// 0 up to k: the pieces of a row of k numbers.
std::vector<Piece> pieces_along(int64_t k, const WordTile& tile);
// The words of all pieces.
int64_t depth_of(std::span<const Piece> pieces, const WordTile& tile);

// C[m, n] (+)= A B over the words of all pieces. a: [ceil(m / tile.rows)][depth][tile.rows]; b: [ceil(n / tile.columns)][depth][tile.b_words].
struct WordJob {
  int64_t m, n;
  std::span<const Piece> pieces;
  int64_t depth;
  const float *a, *b;
  float* c;
  int64_t ldc;
};
// All jobs in one pool loop: no two may write the same element. An element is one chain over the words, continuing from C with accumulate.
void word_gemm(std::span<const WordJob> jobs, const WordTile& tile, bool accumulate);

// Which operand is packed: panels of tile.rows rows of A, or of tile.columns columns of B.
enum class Side { kLeft, kRight };
// Words of all panels of n rows or columns.
int64_t panel_words(int64_t n, int64_t depth, const WordTile& tile, Side side);

// Reads `n` numbers of row `row` from `column` on, rounded and widened to f32, into out. Where the source has a scale every 128 columns,
// column is a multiple of 128.
struct RowReader {
  const void* self;
  void (*read)(const void* self, int64_t row, int64_t column, int64_t n, float* out);
  void operator()(int64_t row, int64_t column, int64_t n, float* out) const { read(self, row, column, n, out); }
};

// Panels whose K runs along the rows of the source: rows [first, first + rows) of the numbers of all pieces.
struct AlongJob {
  RowReader from;
  int64_t first, rows;
  std::span<const Piece> pieces;
  float* panels;
};
void pack_along(std::span<const AlongJob> jobs, const WordTile& tile, Side side);

// Panels of `columns` columns whose K runs down the rows of the source, piece by piece.
struct DownJob {
  RowReader from;
  int64_t columns, depth;
  std::span<const Piece> pieces;
  bool round_columns;  // to E4M3 with a power-of-two scale a column of a piece (128x1 tiles)
  float* panels;
};
void pack_down(std::span<const DownJob> jobs, const WordTile& tile, Side side);

}  // namespace finback
