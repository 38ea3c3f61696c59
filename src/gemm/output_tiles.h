// How the jobs of gemm.h are cut into output tiles, the chunks of one pool loop. Knows no arithmetic.
#pragma once
#include <algorithm>
#include <cstdint>
#include <span>

#include "gemm/ceil_div.h"
#include "gemm/gemm_job.h"
#include "gemm/job_loop.h"

namespace finback {

// A few rows (decoding) read panels as they are stored; packing A and widening panels would not pay.
constexpr int64_t kFewRows = 8;
// Numbers of the panels that a tile of a few rows reads: where reading begins anew it is slow for a while, and a loop of few chunks ends with threads that
// wait.
constexpr int64_t kFewNumbers[] = {512 * 1024, 256 * 1024, 128 * 1024, 64 * 1024};
constexpr int64_t kFewChunks = 8;

struct GemmTiling {
  TileShape shape;      // of jobs with many rows
  int64_t few_numbers;  // of the others
};

// Rows and columns of C.
struct OutputTile {
  int64_t row, rows, column, columns;
};

// Whole panels, an even number of them: some walk two at once.
inline int64_t few_columns(const GemmJob& job, int64_t numbers) {
  const int64_t two = 2 * panel_width(job.packed_b.precision);
  return two * ceil_div(numbers, two * std::max<int64_t>(job.k, 1));
}

inline int64_t tiles_of(const GemmJob& job, const GemmTiling& tiling) {
  if (job.m > kFewRows) return ceil_div(job.m, tiling.shape.rows) * ceil_div(job.n, tiling.shape.columns);
  return job.m == 0 ? 0 : ceil_div(job.n, few_columns(job, tiling.few_numbers));
}

inline GemmTiling choose_gemm_tiling(std::span<const GemmJob> jobs) {
  const auto few = [](const GemmJob& job, int64_t numbers) { return job.m > kFewRows ? 0 : tiles_of(job, GemmTiling{{}, numbers}); };
  const auto many = [](const GemmJob& job, const TileShape& shape) { return job.m > kFewRows ? tiles_of(job, GemmTiling{shape, 0}) : 0; };
  return {choose_tiling(kTileShapes, jobs, many), choose_tiling(kFewNumbers, jobs, few, kFewChunks)};
}

inline OutputTile tile_at(const GemmJob& job, const GemmTiling& tiling, int64_t chunk) {
  const TileShape shape = job.m > kFewRows ? tiling.shape : TileShape{kFewRows, few_columns(job, tiling.few_numbers)};
  const int64_t row_tiles = ceil_div(job.m, shape.rows), row = chunk % row_tiles * shape.rows, column = chunk / row_tiles * shape.columns;
  return {row, std::min(shape.rows, job.m - row), column, std::min(shape.columns, job.n - column)};
}

}  // namespace finback
