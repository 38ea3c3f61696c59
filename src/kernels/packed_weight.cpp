#include "kernels/packed_weight.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/pool.h"
#include "gemm/ceil_div.h"
#include "gemm/quantize_cpu.h"
#include "gemm/quantized_panels.h"
#include "kernels/fp8_block.h"
#include "kernels/rows.h"

namespace finback {
namespace {

// Panels of every group of `weight`, [groups][panels][k][width], packed in one loop; `transpose`: of W^T.
void pack_groups(const at::Tensor& weight, bool transpose, int64_t k, int64_t n, at::Tensor& panels) {
  const int64_t groups = weight.dim() == 3 ? weight.size(0) : 1, floats = packed_floats(k, n), width = panel_width();
  if (!panels.defined() || panels.size(2) != k || panels.size(3) != width) {
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

// The width of a panel belongs to the kernel variant: panels of another one are as stale as those of old values.
bool is_packed(const at::Tensor& panels, uint64_t packed_stamp, uint64_t stamp) {
  return packed_stamp == stamp && panels.defined() && panels.size(3) == panel_width();
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

// The panels of a weight in bf16 or fp8, unless `fresh` ones of this variant are there. transpose: of W^T, for y = x W^T.
void pack_quantized_weight(const at::Tensor& weight, Precision precision, bool transpose, bool fresh, at::Tensor& panels) {
  const QuantizedTile tile = quantized_tile(precision);
  const at::Tensor w_ENK = weight.dim() == 3 ? weight : weight.unsqueeze(0);
  const int64_t groups = w_ENK.size(0), n = w_ENK.size(1), k = w_ENK.size(2), columns = transpose ? n : k;
  const std::vector<KRange> ranges = k_ranges_along(transpose ? k : n, tile);
  const int64_t depth = depth_of(ranges, tile);
  const bool fits = panels.defined() && panels.size(2) == depth && panels.size(3) == tile.columns;
  if (fits && fresh) return;
  if (!fits) panels = at::empty({groups, ceil_div(columns, tile.columns), depth, tile.columns}, weight.options());
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
    float* to = panels.mutable_data_ptr<float>() + e * panels.stride(0);
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
  if (precision_ != precision) forward_stamp_ = backward_stamp_ = ~uint64_t{0};
  precision_ = precision;
}

const float* PackedWeight::forward_panels(int64_t group) const {
  if (precision_ != Precision::kF32) {
    pack_quantized_weight(weight_, precision_, /*transpose=*/true, forward_stamp_ == *stamp_, forward_);
  } else if (!is_packed(forward_, forward_stamp_, *stamp_)) {
    pack_groups(weight_, /*transpose=*/true, k(), n(), forward_);
  }
  forward_stamp_ = *stamp_;
  return forward_.const_data_ptr<float>() + group * forward_.stride(0);
}

const float* PackedWeight::backward_panels(int64_t group) const {
  if (precision_ != Precision::kF32) {
    pack_quantized_weight(weight_, precision_, /*transpose=*/false, backward_stamp_ == *stamp_, backward_);
  } else if (!is_packed(backward_, backward_stamp_, *stamp_)) {
    pack_groups(weight_, /*transpose=*/false, n(), k(), backward_);
  }
  backward_stamp_ = *stamp_;
  return backward_.const_data_ptr<float>() + group * backward_.stride(0);
}

void PackedWeight::store(Precision storage) {
  FB_ASSERT(storage == Precision::kF32 || weight_.is_cpu(), "weights are stored in 16 or 8 bits on the CPU only");
  storage_ = storage;
  forward_ = backward_ = at::Tensor();
  stored_[0] = stored_[1] = StoredPanels();
}

const StoredPanels& PackedWeight::stored(bool backward) const {
  StoredPanels& panels = stored_[backward];
  if (!is_packed(panels.values, stored_stamps_[backward], *stamp_)) panels = store_panels(weight_, storage_, backward);
  stored_stamps_[backward] = *stamp_;
  return panels;
}

at::Tensor PackedWeight::input_values(const at::Tensor& x) const { return storage_ == Precision::kInt8 ? int8_activations_ref(x) : x; }

at::Tensor PackedWeight::stored_values(bool backward) const {
  return storage_ == Precision::kF32 ? weight_ : stored_values_ref(weight_, storage_, backward);
}

Panels PackedWeight::forward_operand(int64_t group) const {
  return storage_ == Precision::kF32 ? Panels(forward_panels(group)) : stored(false).of(group);
}
Panels PackedWeight::backward_operand(int64_t group) const {
  return storage_ == Precision::kF32 ? Panels(backward_panels(group)) : stored(true).of(group);
}

at::Tensor PackedWeight::forward_memory() const {
  forward_operand();  // packs what is not packed yet
  return storage_ == Precision::kF32 ? forward_ : stored_[0].values;
}

}  // namespace finback
