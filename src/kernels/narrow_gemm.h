// Matrix multiplication of operands narrower than f32, packed as 32-bit words, f32 sums; raw pointers, knows no tensors. In the variant
// avx512_bf16 a word is two bf16 numbers that follow each other along K, elsewhere it is one f32 that holds the rounded number. E4M3 values with
// power-of-two scales are bf16 numbers, so both precisions multiply without a further rounding. See Note [Narrow sums] in narrow_gemm.cpp.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace finback {

// The register tile of the variant and how K is laid out in it.
struct WordTile {
  int64_t rows, columns;  // of the tile; at most 16 and 32
  int64_t k_a_word;       // 2 for pairs of bf16, 1 for f32
  void (*block)(int64_t rows, int64_t columns, int64_t depth, const float* a, const float* b, float* c, int64_t ldc, bool accumulate);
};
WordTile word_tile();
inline int64_t words_of(int64_t k, const WordTile& tile) { return (k + tile.k_a_word - 1) / tile.k_a_word; }

// C[m, n] (+)= A B over `depth` words. a: [ceil(m / tile.rows)][depth][tile.rows]; b: [ceil(n / tile.columns)][depth][tile.columns].
struct WordJob {
  int64_t m, n, depth;
  const float *a, *b;
  float* c;
  int64_t ldc;
};
// All jobs in one pool loop: no two may write the same element. An element is one chain over the words, continuing from C with accumulate.
void word_gemm(std::span<const WordJob> jobs, bool accumulate);

// Reads `n` numbers of row `row` from `column` on, rounded and widened to f32, into out. Where the source has a scale every 128 columns,
// column is a multiple of 128.
struct RowReader {
  const void* self;
  void (*read)(const void* self, int64_t row, int64_t column, int64_t n, float* out);
  void operator()(int64_t row, int64_t column, int64_t n, float* out) const { read(self, row, column, n, out); }
};

// Panels of `width` whose K runs along the rows of the source: rows [first, first + rows) of k numbers -> [ceil(rows / width)][depth][width].
struct AlongJob {
  RowReader from;
  int64_t first, rows, k;
  float* panels;
};
void pack_along(std::span<const AlongJob> jobs, int64_t width);

// Panels of `width` columns whose K runs down the rows of the source, piece by piece: every piece begins a new word, so a piece's words do not
// depend on its neighbours. Panel p lies at panels + p * depth * width, with depth the words of all pieces.
struct Piece {
  int64_t first, rows;  // at most 128 rows
  int64_t word;         // where its words begin
};
struct DownJob {
  RowReader from;
  int64_t columns, depth;
  std::vector<Piece> pieces;
  bool round_columns;  // to E4M3 with a power-of-two scale a column of a piece (128x1 tiles)
  float* panels;
};
// Rows [first, end) in pieces of at most 128 that begin anew at every cut. REQUIRES: first and end are among the ascending cuts.
std::vector<Piece> pieces_between(std::span<const int64_t> cuts, int64_t first, int64_t end);
// The words of all pieces.
int64_t depth_of(std::span<const Piece> pieces);
void pack_down(std::span<const DownJob> jobs, int64_t width);

}  // namespace finback
