#include "gemm/quantized_panels.h"

#include <algorithm>

#include "gemm/bf16_tile_cpu.h"
#include "gemm/ceil_div.h"
#include "gemm/f16_tile_cpu.h"
#include "gemm/f32_tile_cpu.h"
#include "gemm/job_loop.h"
#include "gemm/quantize_cpu.h"
#include "gemm/variant.h"

namespace finback {
namespace {

constexpr int64_t kColumns = 128;    // columns that pack_down reads at once, at most: one tile of scales
constexpr int64_t kRangeRows = 128;  // tokens of one scale (V3 section 3.3.2)
constexpr int64_t kRangesAChunk = 4;

int64_t words_in(int64_t rows, const QuantizedTile& tile) { return tile.scale_words + ceil_div(rows, tile.k_per_word); }

// A word is one f32 number: a row needs no packing.
bool words_are_numbers(const QuantizedTile& tile) { return tile.scale_words == 0 && tile.k_per_word == 1; }

// REQUIRES: numbers is words where words_are_numbers.
void row_words(std::span<const KRange> ranges, const QuantizedTile& tile, const float* numbers, Word* words) {
  if (words_are_numbers(tile)) return;
  for (const KRange& range : ranges) {
    const float* from = numbers + range.first;
    Word* to = words + range.word;
    tile.scale_words > 0 ? pair_f16(range.rows, from, as_floats(to))
                         : quantize_loops().pair_columns(range.rows, from, reinterpret_cast<uint32_t*>(to));
  }
}

void pack_along_panel(const AlongJob& job, const QuantizedTile& tile, int64_t panel) {
  thread_local std::vector<Word> words;
  const int64_t depth = depth_of(job.ranges, tile), first = panel * tile.columns, rows = std::min(tile.columns, job.rows - first);
  words.resize(size_t(rows * depth));
  pack_rows(job.from, first, rows, job.ranges, tile, depth, words.data());
  float* out = as_floats(job.panels) + first * depth;
  quantize_loops().transpose(rows, depth, as_floats(words.data()), depth, out, tile.columns);
  if (rows == tile.columns) return;
  for (int64_t d = 0; d < depth; ++d) std::fill(out + d * tile.columns + rows, out + (d + 1) * tile.columns, 0.0f);
}

// One panel's words of a range whose numbers lie in scratch, from column 0 of the panel on.
void down_words(const KRange& range, const QuantizedTile& tile, int64_t width, const float* numbers, int64_t pitch, const float* zeros,
                float* to) {
  float inverses[kColumns];
  if (tile.scale_words > 0) {
    column_f16_scales(range.rows, width, numbers, pitch, to, inverses);
    to += width;
  }
  for (int64_t r = 0; r < range.rows; r += tile.k_per_word, to += width) {
    const float *low = numbers + r * pitch, *high = r + 1 < range.rows ? low + pitch : zeros;
    if (tile.scale_words > 0) {
      f16_words(width, low, high, inverses, to);
    } else if (tile.k_per_word == 2) {
      quantize_loops().pair_rows(width, low, high, to);
    } else {
      std::copy_n(low, width, to);
    }
  }
}

// Whole panels of at most kColumns columns. Where a source has scales, the width divides 128.
int64_t columns_a_chunk(const DownJob& job) { return kColumns / job.width * job.width; }

// The columns from `first` on, of some ranges. The scratch holds whole panels, zeros beyond the last column.
void pack_down_chunk(const DownJob& job, std::span<const KRange> ranges, const QuantizedTile& tile, int64_t first) {
  thread_local std::vector<float> scratch;
  const int64_t width = job.width, pitch = kColumns + width, columns = std::min(columns_a_chunk(job), job.columns - first);
  const int64_t depth = depth_of(job.ranges, tile), base = job.ranges.front().word;
  const bool round_and_pair = job.round_columns && tile.scale_words == 0 && tile.k_per_word == 2;
  scratch.resize(size_t((kRangeRows + 1) * pitch));
  for (int64_t r = 0; r <= kRangeRows; ++r) std::fill_n(scratch.data() + r * pitch + (r < kRangeRows ? columns : 0), width, 0.0f);
  const float* zeros = scratch.data() + kRangeRows * pitch;
  for (const KRange& range : ranges) {
    for (int64_t r = 0; r < range.rows; ++r) job.from(range.first + r, first, columns, scratch.data() + r * pitch);
    if (job.round_columns && !round_and_pair)
      quantize_loops().round_columns(range.rows, columns, scratch.data(), pitch, scratch.data(), pitch);
    for (int64_t c = 0; c < columns; c += width) {
      float* to = as_floats(job.panels) + ((first + c) / width * depth + range.word - base) * width;
      if (round_and_pair) {
        quantize_loops().round_and_pair_columns(range.rows, width, scratch.data() + c, pitch, to);
      } else {
        down_words(range, tile, width, scratch.data() + c, pitch, zeros, to);
      }
    }
  }
}

}  // namespace

QuantizedTile quantized_tile(Precision precision) {
  const Variant variant = kernel_variant();
  if (variant == Variant::kAvx512Fp16 && precision == Precision::kFp8) return {kF16TileRows, kF16TileColumns, 2, 1, f16_tile};
  if (variant == Variant::kAvx512Bf16) return {kBf16TileRows, kBf16TileColumns, 2, 0, bf16_tile};
  const F32Tile& tile = f32_tile();
  return {tile.rows, tile.columns, 1, 0, tile.block};
}

std::vector<KRange> k_ranges_between(std::span<const int64_t> boundaries, int64_t first, int64_t end, const QuantizedTile& tile) {
  std::vector<KRange> ranges;
  int64_t word = 0;
  for (auto at = std::lower_bound(boundaries.begin(), boundaries.end(), first); *at < end; ++at) {
    for (int64_t row = *at; row < at[1]; row += kRangeRows) {
      ranges.push_back({row, std::min(kRangeRows, at[1] - row), word});
      word += words_of(ranges.back(), tile);
    }
  }
  return ranges;
}

std::vector<KRange> k_ranges_along(int64_t k, const QuantizedTile& tile) {
  return k_ranges_between(std::vector<int64_t>{0, k}, 0, k, tile);
}

int64_t words_of(const KRange& range, const QuantizedTile& tile) { return words_in(range.rows, tile); }

int64_t depth_of(std::span<const KRange> ranges, const QuantizedTile& tile) {
  return ranges.empty() ? 0 : ranges.back().word - ranges.front().word + words_of(ranges.back(), tile);
}

int64_t panel_words(int64_t n, int64_t depth, int64_t width) { return ceil_div(n, width) * width * depth; }

void pack_rows(const RowReader& from, int64_t first, int64_t rows, std::span<const KRange> ranges, const QuantizedTile& tile, int64_t pitch,
               Word* words) {
  thread_local std::vector<float> scratch;
  const int64_t k = ranges.empty() ? 0 : ranges.back().first + ranges.back().rows;
  scratch.resize(size_t(k));
  for (int64_t r = 0; r < rows; ++r, words += pitch) {
    float* numbers = words_are_numbers(tile) ? as_floats(words) : scratch.data();
    from(first + r, 0, k, numbers);
    row_words(ranges, tile, numbers, words);
  }
}

void pack_along(std::span<const AlongJob> jobs, const QuantizedTile& tile) {
  for_all_chunks(
      jobs, [&](const AlongJob& job) { return ceil_div(job.rows, tile.columns); },
      [&](size_t i, int64_t panel) { pack_along_panel(jobs[i], tile, panel); });
}

void pack_down(std::span<const DownJob> jobs, const QuantizedTile& tile) {
  const auto bands = [](const DownJob& job) { return ceil_div(job.columns, columns_a_chunk(job)); };
  for_all_chunks(
      jobs, [&](const DownJob& job) { return bands(job) * ceil_div(int64_t(job.ranges.size()), kRangesAChunk); },
      [&](size_t i, int64_t chunk) {
        const DownJob& job = jobs[i];
        const int64_t first = chunk / bands(job) * kRangesAChunk, count = std::min(kRangesAChunk, int64_t(job.ranges.size()) - first);
        pack_down_chunk(job, job.ranges.subspan(size_t(first), size_t(count)), tile, chunk % bands(job) * columns_a_chunk(job));
      });
}

}  // namespace finback
