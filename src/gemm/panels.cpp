#include "gemm/panels.h"

#include <algorithm>

#include "gemm/ceil_div.h"
#include "gemm/f32_tile_cpu.h"
#include "gemm/job_loop.h"

namespace finback {
namespace {

constexpr int64_t kFp8ScaleBlock = 128;  // numbers along K that share a scale of a panel

}  // namespace

Panels panel_at(const Panels& panels, int64_t index, int64_t k, int64_t width) {
  const bool int8 = panels.precision == Precision::kInt8;
  const int64_t depth = int8 ? ceil_div(k, kInt8Step) * kInt8Step : k;
  const auto* values = static_cast<const uint8_t*>(panels.values) + index * depth * width * value_bytes(panels.precision);
  if (panels.scales == nullptr) return {values, panels.precision, nullptr};
  const int64_t block = int8 ? kInt8Block : kFp8ScaleBlock, blocks = ceil_div(k, block);
  const int64_t scale_bytes = int8 ? blocks * width * 2 : blocks * 4;
  return {values, panels.precision, static_cast<const uint8_t*>(panels.scales) + index * scale_bytes};
}

int64_t panel_width(Precision precision) { return precision == Precision::kInt8 ? kInt8Width : f32_tile().columns; }

int64_t packed_floats(int64_t k, int64_t n) { return ceil_div(n, panel_width()) * panel_width() * k; }

void pack_panels(std::span<const PanelJob> jobs) {
  const int64_t width = panel_width();
  for_all_chunks(
      jobs, [&](const PanelJob& job) { return ceil_div(job.n, width); },
      [&](size_t i, int64_t panel) {
        const PanelJob& job = jobs[i];
        f32_tile().pack_b(job.k, std::min(width, job.n - panel * width), job.b_KN.data + panel * width * job.b_KN.column_stride,
                          job.b_KN.row_stride, job.b_KN.column_stride, job.packed + panel * width * job.k);
      });
}

void pack_panels(int64_t k, int64_t n, Operand b_KN, float* packed) {
  const PanelJob job = {k, n, b_KN, packed};
  pack_panels({&job, 1});
}

}  // namespace finback
