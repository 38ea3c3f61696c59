#include "gemm/quantized_gemm.h"

#include <algorithm>
#include <utility>

#include "gemm/ceil_div.h"
#include "gemm/job_loop.h"

// Note [Quantized sums]
// An element of C is one chain of f32 fused multiply-adds over the words in order (multiply then add in the portable variant); a word of two
// bf16 numbers adds its second product, then its first. So its bits depend on its row of A, its column of B and the ranges of K alone.
// V3 adds partial sums to f32 every 128 of K, because its processors keep 14 bits of a sum of FP8 products. Where sums are f32 from their
// first product, and a scale that is a power of two commutes with rounding, promotion every 128 would change nothing but the order, so
// scales are multiplied into the operands and the chain runs on. Sums in f16 (avx512_fp16) keep 11 bits: there a range of K is summed from 0 and
// promoted, and its scales lie before it.

namespace finback {
namespace {

constexpr int64_t kBlockWords = 256;         // a panel of B, 32 KB, stays in L1 or close while the rows of a chunk pass
constexpr int64_t kRoundWords = 128 * 1024;  // both operands of multiply_columns: packed, they stay in L2 until they are multiplied

constexpr int64_t kTileRows[] = {96, 48, 24, 12};  // as kTileShapes, of all columns

// Rows of A as words: tile i begins at data + i * tile.
struct LeftWords {
  const Word* data;
  int64_t tile, row, k;  // strides
};

// Words [first, first + words) of all columns' panels, multiplied in one pass: a range with its scales, or a block of words wherever ranges end.
struct KPass {
  int64_t first, words;
};
std::vector<KPass> passes_of(std::span<const KRange> ranges, const QuantizedTile& tile) {
  std::vector<KPass> passes;
  const int64_t base = ranges.empty() ? 0 : ranges.front().word, depth = depth_of(ranges, tile);
  if (tile.scale_words > 0) {
    for (const KRange& range : ranges) passes.push_back({range.word - base, words_of(range, tile)});
  } else {
    for (int64_t word = 0; word < depth; word += kBlockWords) passes.push_back({word, std::min(kBlockWords, depth - word)});
  }
  if (passes.empty()) passes.push_back({0, 0});  // sums of nothing
  return passes;
}

// Columns [first, end) of C's `rows` rows; b: all panels, `depth` words deep.
void multiply(const LeftWords& a, int64_t rows, const Word* b, int64_t depth, int64_t first, int64_t end, std::span<const KPass> passes,
              const QuantizedTile& tile, float* c, int64_t ldc, bool accumulate) {
  for (const KPass& pass : passes) {
    for (int64_t column = first; column < end; column += tile.columns) {
      tile.block({rows, std::min(tile.columns, end - column), pass.words, as_floats(a.data + pass.first * a.k), a.tile, a.row, a.k,
                  as_floats(b + column * depth + pass.first * tile.columns), tile.columns, c + column, ldc, accumulate || pass.first > 0});
    }
  }
}

// An odd number of lines: rows a power of two apart would fall into one set of a cache and push each other out.
int64_t pitch_of(int64_t depth) {
  const int64_t lines = ceil_div(depth, 16);
  return (lines | 1) * 16;
}

void multiply_rows_chunk(const RowsJob& job, std::span<const KRange> ranges, std::span<const KPass> passes, const QuantizedTile& tile,
                         int64_t first, int64_t rows) {
  thread_local std::vector<Word> words;
  const int64_t depth = depth_of(ranges, tile), pitch = pitch_of(depth);
  words.resize(size_t(rows * pitch));
  pack_rows(job.from, job.first + first, rows, ranges, tile, pitch, words.data());
  multiply({words.data(), tile.rows * pitch, pitch, 1}, rows, job.b, depth, 0, job.n, passes, tile, job.c + first * job.n, job.n, false);
}

// Some ranges of a ColumnsJob, packed.
struct PackedRanges {
  const ColumnsJob* job;
  std::span<const KRange> ranges;
  int64_t depth;
  Word *a, *b;
};

// As many ranges as fit, at least one, from the first on.
std::span<const KRange> ranges_that_fit(std::span<const KRange> ranges, int64_t width, int64_t words, const QuantizedTile& tile) {
  size_t count = 1;
  while (count < ranges.size() && depth_of(ranges.first(count + 1), tile) * width <= words) ++count;
  return ranges.first(count);
}

// words: of all parts.
void multiply_parts(std::span<PackedRanges> parts, int64_t words, bool round_columns, const QuantizedTile& tile) {
  thread_local std::vector<Word> buffer;  // only grows: no page faults from the second call on
  if (int64_t(buffer.size()) < words) buffer.resize(size_t(words));
  Word* next = buffer.data();
  std::vector<DownJob> packs;
  for (PackedRanges& p : parts) {
    p.a = std::exchange(next, next + panel_words(p.job->m, p.depth, tile.rows));
    p.b = std::exchange(next, next + panel_words(p.job->n, p.depth, tile.columns));
    packs.push_back({p.job->a, p.job->m, tile.rows, p.ranges, round_columns, p.a});
    packs.push_back({p.job->b, p.job->n, tile.columns, p.ranges, round_columns, p.b});
  }
  pack_down(packs, tile);
  const auto chunks_of = [](const PackedRanges& p, const TileShape& shape) {
    return ceil_div(p.job->m, shape.rows) * ceil_div(p.job->n, shape.columns);
  };
  const TileShape shape = choose_tiling(kTileShapes, std::span<const PackedRanges>(parts), chunks_of);
  for_all_chunks(
      std::span<const PackedRanges>(parts), [&](const PackedRanges& p) { return chunks_of(p, shape); },
      [&](size_t i, int64_t chunk) {
        const PackedRanges& p = parts[i];
        const int64_t blocks = ceil_div(p.job->m, shape.rows), row = chunk % blocks * shape.rows, column = chunk / blocks * shape.columns;
        multiply({p.a + row * p.depth, tile.rows * p.depth, 1, tile.rows}, std::min(shape.rows, p.job->m - row), p.b, p.depth, column,
                 std::min(p.job->n, column + shape.columns), passes_of(p.ranges, tile), tile, p.job->c + row * p.job->ldc, p.job->ldc,
                 true);
      });
}

}  // namespace

void multiply_rows(std::span<const RowsJob> jobs, std::span<const KRange> ranges, const QuantizedTile& tile) {
  const std::vector<KPass> passes = passes_of(ranges, tile);
  const int64_t tile_rows = choose_tiling(kTileRows, jobs, [](const RowsJob& job, int64_t rows) { return ceil_div(job.rows, rows); });
  for_all_chunks(
      jobs, [&](const RowsJob& job) { return ceil_div(job.rows, tile_rows); },
      [&](size_t i, int64_t chunk) {
        multiply_rows_chunk(jobs[i], ranges, passes, tile, chunk * tile_rows, std::min(tile_rows, jobs[i].rows - chunk * tile_rows));
      });
}

void multiply_columns(std::span<const ColumnsJob> jobs, bool round_columns, const QuantizedTile& tile) {
  std::vector<PackedRanges> round;  // never two parts of one job: what did not fit begins the next round
  int64_t used = 0;
  const auto multiply_round = [&] {
    if (!round.empty()) multiply_parts(round, used, round_columns, tile);
    round.clear(), used = 0;
  };
  for (const ColumnsJob& job : jobs) {
    for (std::span<const KRange> left = job.ranges; !left.empty();) {
      const int64_t width = panel_words(job.m, 1, tile.rows) + panel_words(job.n, 1, tile.columns);
      const std::span<const KRange> some = ranges_that_fit(left, width, kRoundWords - used, tile);
      const int64_t depth = depth_of(some, tile);
      if (used > 0 && used + depth * width > kRoundWords) {
        multiply_round();
        continue;
      }
      round.push_back({&job, some, depth, nullptr, nullptr});
      used += depth * width;
      left = left.subspan(some.size());
    }
  }
  multiply_round();
}

}  // namespace finback
