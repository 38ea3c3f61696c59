// How the jobs of gemm.h are cut into pieces of one pool loop. Knows no arithmetic.
#pragma once
#include <algorithm>
#include <cstdint>
#include <span>

#include "gemm/gemm_job.h"
#include "gemm/job_loop.h"

namespace finback {

// A few rows (decoding) read panels as they are stored; packing A and widening panels would not pay.
constexpr int64_t kFewRows = 8;
// Numbers of the panels that a piece of a few rows reads: where reading begins anew it is slow for a while, and a loop of few pieces ends with threads that
// wait.
constexpr int64_t kFewNumbers[] = {512 * 1024, 256 * 1024, 128 * 1024, 64 * 1024};
constexpr int64_t kFewChunks = 8;

struct GemmCut {
  Cut cut;              // of jobs with many rows
  int64_t few_numbers;  // of the others
};

// Rows and columns of C.
struct GemmPiece {
  int64_t row, rows, column, columns;
};

// Whole panels, an even number of them: some walk two at once.
inline int64_t few_columns(const GemmJob& job, int64_t numbers) {
  const int64_t two = 2 * panel_width();
  return two * pieces_of(numbers, two * std::max<int64_t>(job.k, 1));
}

inline int64_t pieces_of(const GemmJob& job, const GemmCut& by) {
  if (job.m > kFewRows) return pieces_of(job.m, by.cut.rows) * pieces_of(job.n, by.cut.columns);
  return job.m == 0 ? 0 : pieces_of(job.n, few_columns(job, by.few_numbers));
}

inline GemmCut choose_gemm_cut(std::span<const GemmJob> jobs) {
  const auto few = [](const GemmJob& job, int64_t numbers) { return job.m > kFewRows ? 0 : pieces_of(job, GemmCut{{}, numbers}); };
  const auto many = [](const GemmJob& job, const Cut& cut) { return job.m > kFewRows ? pieces_of(job, GemmCut{cut, 0}) : 0; };
  return {choose_cut(kCuts, jobs, many), choose_cut(kFewNumbers, jobs, few, kFewChunks)};
}

inline GemmPiece piece_of(const GemmJob& job, const GemmCut& by, int64_t chunk) {
  const Cut cut = job.m > kFewRows ? by.cut : Cut{kFewRows, few_columns(job, by.few_numbers)};
  const int64_t row_pieces = pieces_of(job.m, cut.rows), row = chunk % row_pieces * cut.rows, column = chunk / row_pieces * cut.columns;
  return {row, std::min(cut.rows, job.m - row), column, std::min(cut.columns, job.n - column)};
}

}  // namespace finback
