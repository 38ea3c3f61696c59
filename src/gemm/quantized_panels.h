// bf16 and FP8 operands, packed as words for the register tile of a kernel variant; raw pointers, knows no tensors. A word is 32 bits of an operand: in
// avx512_bf16 two bf16 numbers that follow each other along K, in avx512_fp16 (FP8) two f16 numbers, elsewhere one f32 that holds the rounded number.
// E4M3 values with power-of-two scales are bf16 numbers, so both precisions multiply without a further rounding. See Note [Quantized sums] in
// quantized_gemm.cpp.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "gemm/precision.h"
#include "gemm/tile_block.h"

namespace finback {

// 32 bits of an operand; the tile that they were packed for says what they hold.
enum class Word : uint32_t {};
// For loops that move words as f32, whatever they hold.
inline float* as_floats(Word* words) { return reinterpret_cast<float*>(words); }
inline const float* as_floats(const Word* words) { return reinterpret_cast<const float*>(words); }

// The register tile of the variant for operands of a precision, and how K is laid out in it.
struct QuantizedTile {
  int64_t rows, columns;  // of the tile; columns at most 64
  int64_t k_per_word;     // numbers along K in a word: 2 for pairs, else 1
  int64_t scale_words;    // words before every range of K that hold its scales: 1 in f16, else 0
  // Of words instead of f32 numbers; with scale words, depth counts them, and a and b begin with them.
  void (*block)(const TileBlock& x);
};
QuantizedTile quantized_tile(Precision precision);

// A range of K, at most 128 long: one tile of scales. Its words, scales included, begin at `word` and do not depend on the ranges beside it.
struct KRange {
  int64_t first, rows;
  int64_t word;
};
// [first, end) of K in ranges of at most 128 that begin anew at every boundary. REQUIRES: first and end are among the ascending boundaries.
std::vector<KRange> k_ranges_between(std::span<const int64_t> boundaries, int64_t first, int64_t end, const QuantizedTile& tile);
// 0 up to k: the ranges of a row of k numbers.
std::vector<KRange> k_ranges_along(int64_t k, const QuantizedTile& tile);
int64_t words_of(const KRange& range, const QuantizedTile& tile);
// The words of all ranges, of which the first need not begin at 0.
int64_t depth_of(std::span<const KRange> ranges, const QuantizedTile& tile);
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
void pack_rows(const RowReader& from, int64_t first, int64_t rows, std::span<const KRange> ranges, const QuantizedTile& tile, int64_t pitch,
               Word* words);

// Panels [ceil(rows / tile.columns)][depth][tile.columns] of B^T given by rows: K runs along the rows of the source.
struct AlongJob {
  RowReader from;
  int64_t rows;
  std::span<const KRange> ranges;
  Word* panels;
};
void pack_along(std::span<const AlongJob> jobs, const QuantizedTile& tile);

// Panels [ceil(columns / width)][depth][width] whose K runs down the rows of the source, range by range. width: tile.rows or tile.columns.
struct DownJob {
  RowReader from;
  int64_t columns, width;
  std::span<const KRange> ranges;
  bool round_columns;  // to E4M3 with a power-of-two scale a column of a range (128x1 tiles)
  Word* panels;
};
void pack_down(std::span<const DownJob> jobs, const QuantizedTile& tile);

}  // namespace finback
