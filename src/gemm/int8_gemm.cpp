#include "gemm/int8_gemm.h"

#include <vector>

#include "base/error.h"
#include "gemm/int8_dot_cpu.h"
#include "gemm/output_tiles.h"

namespace finback {
namespace {

constexpr int64_t kRowsAChunk = 16;  // that are rounded
constexpr int64_t kFewBlocks = 512;  // as many are rounded sooner than a second thread begins

int64_t blocks_of(const GemmJob& job) { return ceil_div(job.k, kInt8Block); }

void round_rows(const GemmJob& job, int64_t first, int64_t end, Int8Block* blocks) {
  for (int64_t r = first; r < end; ++r) quantize_blocks(job.k, job.a_MK.data + r * job.a_MK.row_stride, blocks + r * blocks_of(job));
}

void multiply_tile(const GemmJob& job, const Int8Block* a, const OutputTile& out, bool accumulate) {
  int8_multiply({out.rows, job.k, out.columns, a + out.row * blocks_of(job),
                 panel_at(job.packed_b, out.column / kInt8Width, job.k, kInt8Width), job.c_MN + out.row * job.ldc + out.column, job.ldc,
                 accumulate});
}

}  // namespace

void int8_gemm_all(std::span<const GemmJob> jobs, bool accumulate) {
  thread_local std::vector<Int8Block> buffer;
  std::vector<Int8Block> mine;
  mine.swap(buffer);  // a nested call on this thread gets its own
  std::vector<int64_t> starts = {0};
  for (const GemmJob& job : jobs) {
    FB_ASSERT(job.packed_b.precision == Precision::kInt8 && (job.a_MK.column_stride == 1 || job.k == 1), "rows with int8 panels");
    starts.push_back(starts.back() + job.m * blocks_of(job));
  }
  if (int64_t(mine.size()) < starts.back()) mine.resize(size_t(starts.back()));
  if (starts.back() <= kFewBlocks) {
    for (size_t i = 0; i < jobs.size(); ++i) round_rows(jobs[i], 0, jobs[i].m, mine.data() + starts[i]);
  } else {
    for_all_chunks(
        jobs, [](const GemmJob& job) { return ceil_div(job.m, kRowsAChunk); },
        [&](size_t i, int64_t chunk) {
          round_rows(jobs[i], chunk * kRowsAChunk, std::min(jobs[i].m, (chunk + 1) * kRowsAChunk), mine.data() + starts[i]);
        });
  }
  const GemmTiling tiling = choose_gemm_tiling(jobs);
  for_all_chunks(
      jobs, [&](const GemmJob& job) { return tiles_of(job, tiling); },
      [&](size_t i, int64_t chunk) { multiply_tile(jobs[i], mine.data() + starts[i], tile_at(jobs[i], tiling, chunk), accumulate); });
  mine.swap(buffer);
}

}  // namespace finback
