// Operands narrower than f32, packed as 32-bit words for the register tile of a kernel variant; raw pointers, knows no tensors. In avx512_bf16 a
// word is two bf16 numbers that follow each other along K, in avx512_fp16 (FP8) two halves, elsewhere one f32 that holds the rounded number.
// E4M3 values with power-of-two scales are bf16 numbers, so both precisions multiply without a further rounding. See Note [Narrow sums] in
// narrow_gemm.cpp.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "gemm/precision.h"
#include "gemm/tile_block.h"

namespace finback {

// The register tile of the variant for a precision, and how K is laid out in it.
struct WordTile {
  int64_t rows, columns;  // of the tile; columns at most 64
  int64_t k_a_word;       // 2 for pairs, else 1
  int64_t header;         // words of scales before every piece: 1 in half precision, else 0
  // Of words instead of f32 numbers; with a header, depth counts it, and a and b begin with it.
  void (*block)(const TileBlock& x);
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
int64_t words_of(const Piece& piece, const WordTile& tile);
// The words of all pieces, of which the first need not begin at 0.
int64_t depth_of(std::span<const Piece> pieces, const WordTile& tile);
// Words of all panels of n columns, `width` a panel.
int64_t panel_words(int64_t n, int64_t depth, int64_t width);

// Reads `n` numbers of row `row` from `column` on, rounded and widened to f32, into out. Where the source has a scale every 128 columns,
// column is a multiple of 128.
struct RowReader {
  const void* self;
  void (*read)(const void* self, int64_t row, int64_t column, int64_t n, float* out);
  void operator()(int64_t row, int64_t column, int64_t n, float* out) const { read(self, row, column, n, out); }
};
// Of a source with a static function `read`; the source outlives the reader.
template <class Source>
RowReader row_reader(const Source& source) {
  return {&source, Source::read};
}

// words[r * pitch ...]: the words of rows [first, first + rows), one row after the other.
void pack_rows(const RowReader& from, int64_t first, int64_t rows, std::span<const Piece> pieces, const WordTile& tile, int64_t pitch,
               float* words);

// Panels [ceil(rows / tile.columns)][depth][tile.columns] of B^T given by rows: K runs along the rows of the source.
struct AlongJob {
  RowReader from;
  int64_t rows;
  std::span<const Piece> pieces;
  float* panels;
};
void pack_along(std::span<const AlongJob> jobs, const WordTile& tile);

// Panels [ceil(columns / width)][depth][width] whose K runs down the rows of the source, piece by piece. width: tile.rows or tile.columns.
struct DownJob {
  RowReader from;
  int64_t columns, width;
  std::span<const Piece> pieces;
  bool round_columns;  // to E4M3 with a power-of-two scale a column of a piece (128x1 tiles)
  float* panels;
};
void pack_down(std::span<const DownJob> jobs, const WordTile& tile);

}  // namespace finback
