#include "gemm/int8_gemm.h"

#include <vector>

#include "base/error.h"
#include "gemm/gemm_cut.h"
#include "gemm/int8_dot_cpu.h"

namespace finback {
namespace {

constexpr int64_t kRowsAChunk = 16;  // that are rounded
constexpr int64_t kFewBlocks = 512;  // as many are rounded sooner than a second thread begins

int64_t blocks_of(const GemmJob& job) { return pieces_of(job.k, kInt8Block); }

void round_rows(const GemmJob& job, int64_t first, int64_t end, Int8Block* blocks) {
  for (int64_t r = first; r < end; ++r) quantize_blocks(job.k, job.a_MK.data + r * job.a_MK.row_stride, blocks + r * blocks_of(job));
}

void multiply_piece(const GemmJob& job, const Int8Block* a, const GemmPiece& piece, bool accumulate) {
  const int64_t width = panel_width();
  int8_multiply({piece.rows, job.k, piece.columns, a + piece.row * blocks_of(job),
                 panel_at(job.packed_b, piece.column / width, job.k, width), width, job.c_MN + piece.row * job.ldc + piece.column, job.ldc,
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
    for_all_pieces(
        jobs, [](const GemmJob& job) { return pieces_of(job.m, kRowsAChunk); },
        [&](size_t i, int64_t chunk) {
          round_rows(jobs[i], chunk * kRowsAChunk, std::min(jobs[i].m, (chunk + 1) * kRowsAChunk), mine.data() + starts[i]);
        });
  }
  const GemmCut cut = choose_gemm_cut(jobs);
  for_all_pieces(
      jobs, [&](const GemmJob& job) { return pieces_of(job, cut); },
      [&](size_t i, int64_t chunk) { multiply_piece(jobs[i], mine.data() + starts[i], piece_of(jobs[i], cut, chunk), accumulate); });
  mine.swap(buffer);
}

}  // namespace finback
