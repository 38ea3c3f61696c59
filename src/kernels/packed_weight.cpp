#include "kernels/packed_weight.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/pool.h"
#include "gemm/ceil_div.h"
#include "gemm/panels.h"
#include "gemm/quantize_cpu.h"
#include "gemm/quantized_panels.h"
#include "kernels/backend.h"
#include "kernels/fp8_block.h"
#include "kernels/rows.h"

namespace finback {
namespace {

// Memory of the last packing that serves this one.
bool fits(const at::Tensor& panels, at::ScalarType type, int64_t depth, int64_t width) {
  return panels.defined() && panels.scalar_type() == type && panels.size(2) == depth && panels.size(3) == width;
}

// Panels of every group of `weight`, [groups][panels][k][width], packed in one loop; `transpose`: of W^T.
void pack_groups(const at::Tensor& weight, bool transpose, int64_t k, int64_t n, at::Tensor& panels) {
  const int64_t groups = weight.dim() == 3 ? weight.size(0) : 1, floats = packed_floats(k, n), width = panel_width();
  if (!fits(panels, at::kFloat, k, width)) {
    panels = at::empty({groups, ceil_div(n, width), k, width}, weight.options().device(at::kCPU));
  }
  std::vector<PanelJob> jobs;
  for (int64_t e = 0; e < groups; ++e) {
    const Rows w = rows_of(weight.dim() == 3 ? weight[e] : weight);
    const Operand b_KN = transpose ? Operand{w.data, 1, w.stride} : Operand{w.data, w.stride, 1};
    jobs.push_back({k, n, b_KN, panels.mutable_data_ptr<float>() + e * floats});
  }
  pack_panels(jobs);
}

// f32 master weights, rounded as they are read.
struct WeightRows {
  const float* w;
  int64_t stride;
  Precision precision;
  const float* scales;  // fp8: [ceil(N / 128), blocks]
  int64_t blocks;
  static void read(const void* self, int64_t row, int64_t column, int64_t n, float* out) {
    const auto& r = *static_cast<const WeightRows*>(self);
    const float* from = r.w + row * r.stride + column;
    if (r.precision == Precision::kBf16) return quantize_loops().round_bf16(n, from, out);
    const float* scale = r.scales + row / kFp8Block * r.blocks + column / kFp8Block;
    for (int64_t j = 0; j < n; j += kFp8Block) quantize_loops().round_e4m3(std::min(kFp8Block, n - j), from + j, *scale++, out + j);
  }
};

// The 128x128 scales of every group, [groups][ceil(N / 128)][ceil(K / 128)].
std::vector<float> block_scales(const at::Tensor& weight_ENK) {
  const int64_t groups = weight_ENK.size(0), n = weight_ENK.size(1), k = weight_ENK.size(2);
  const int64_t rows = ceil_div(n, kFp8Block), columns = ceil_div(k, kFp8Block);
  std::vector<float> scales(size_t(groups * rows * columns));
  const float* w = weight_ENK.const_data_ptr<float>();
  parallel_for(groups * rows, [&](int64_t i) {
    const int64_t first = i % rows * kFp8Block, end = std::min(n, first + kFp8Block);
    for (int64_t c = 0; c < columns; ++c) {
      float amax = 0;
      for (int64_t r = first; r < end; ++r) {
        const float* row = w + i / rows * weight_ENK.stride(0) + r * weight_ENK.stride(1) + c * kFp8Block;
        amax = std::max(amax, quantize_loops().amax(std::min(kFp8Block, k - c * kFp8Block), row));
      }
      scales[size_t(i * columns + c)] = fp8_scale(amax, true, kFp8TrainingFloor);
    }
  });
  return scales;
}

// The panels of a weight in bf16 or fp8. transpose: of W^T, for y = x W^T.
void pack_quantized_weight(const at::Tensor& weight, Precision precision, bool transpose, at::Tensor& panels) {
  const QuantizedTile tile = quantized_tile(precision);
  const at::Tensor w_ENK = weight.dim() == 3 ? weight : weight.unsqueeze(0);
  const int64_t groups = w_ENK.size(0), n = w_ENK.size(1), k = w_ENK.size(2), columns = transpose ? n : k;
  const std::vector<KRange> ranges = k_ranges_along(transpose ? k : n, tile);
  const int64_t depth = depth_of(ranges, tile);
  if (!fits(panels, at::kInt, depth, tile.columns)) {
    panels = at::empty({groups, ceil_div(columns, tile.columns), depth, tile.columns}, weight.options().dtype(at::kInt));
  }
  const bool fp8 = precision == Precision::kFp8;
  const std::vector<float> scales = fp8 ? block_scales(w_ENK) : std::vector<float>();
  const int64_t blocks = ceil_div(k, kFp8Block), scales_a_group = fp8 ? int64_t(scales.size()) / groups : 0;
  std::vector<WeightRows> rows;
  for (int64_t e = 0; e < groups; ++e) {
    rows.push_back(
        {w_ENK.const_data_ptr<float>() + e * w_ENK.stride(0), w_ENK.stride(1), precision, scales.data() + e * scales_a_group, blocks});
  }
  std::vector<AlongJob> along;
  std::vector<DownJob> down;
  for (int64_t e = 0; e < groups; ++e) {
    Word* to = reinterpret_cast<Word*>(panels.mutable_data_ptr<int32_t>()) + e * panels.stride(0);
    if (transpose) {
      along.push_back({row_reader(rows[size_t(e)]), n, ranges, to});
    } else {
      down.push_back({row_reader(rows[size_t(e)]), k, tile.columns, ranges, /*round_columns=*/false, to});
    }
  }
  pack_along(along, tile);
  pack_down(down, tile);
}

}  // namespace

PackedWeight::PackedWeight(at::Tensor weight, const uint64_t* stamp, Precision precision)
    : weight_(std::move(weight)), stamp_(stamp), precision_(precision) {
  FB_ASSERT(weight_.dim() == 2 || weight_.dim() == 3, "a weight is [N, K] or [E, N, K]");
  set_precision(precision);
}

void PackedWeight::set_precision(Precision precision) {
  FB_CHECK(precision != Precision::kInt8, "expected precision f32, bf16 or fp8: int8 arithmetic is not built yet");
  precision_ = precision;
}

void PackedWeight::prepare(Use use) {
  if (backend_of(weight_) == Backend::kRef) return;
  if (use.forward && !is_fresh(forward_)) pack(forward_, /*transpose=*/true);
  if (use.backward && !is_fresh(backward_)) pack(backward_, /*transpose=*/false);
}

bool PackedWeight::is_fresh(const Direction& panels) const {
  return panels.variant == kernel_variant() && panels.stamp == *stamp_ && panels.precision == precision_;
}

void PackedWeight::pack(Direction& panels, bool transpose) const {
  if (precision_ != Precision::kF32) {
    pack_quantized_weight(weight_, precision_, transpose, panels.values);
  } else {
    pack_groups(weight_, transpose, transpose ? k() : n(), transpose ? n() : k(), panels.values);
  }
  panels.stamp = *stamp_, panels.precision = precision_, panels.variant = kernel_variant();
}

const at::Tensor& PackedWeight::fresh(const Direction& direction) const {
  FB_ASSERT(is_fresh(direction), "prepare() comes before the first product with new values, another precision or another kernel variant");
  return direction.values;
}

const float* PackedWeight::panels(const Direction& direction, int64_t group) const {
  const at::Tensor& values = fresh(direction);
  return values.const_data_ptr<float>() + group * values.stride(0);
}

const Word* PackedWeight::words(const Direction& direction, int64_t group) const {
  const at::Tensor& values = fresh(direction);
  return reinterpret_cast<const Word*>(values.const_data_ptr<int32_t>()) + group * values.stride(0);
}

PackedWeight prepared(at::Tensor weight, const uint64_t* stamp, Precision precision) {
  PackedWeight packed(std::move(weight), stamp, precision);
  packed.prepare();
  return packed;
}

}  // namespace finback
