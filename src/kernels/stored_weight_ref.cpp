#include <ATen/ATen.h>

#include <vector>

#include "kernels/fp8_block.h"
#include "kernels/stored_weight.h"

namespace finback {
namespace {

at::Tensor int8_values(const at::Tensor& w_NK) {
  const int64_t rows = w_NK.size(0), k = w_NK.size(1), blocks = (k + kInt8Block - 1) / kInt8Block;
  const at::Tensor padded = at::constant_pad_nd(w_NK, {0, blocks * kInt8Block - k}).view({rows, blocks, kInt8Block});
  const at::Tensor scale = at::div(at::amax(at::abs(padded), {2}, true), 127).to(at::kBFloat16).to(at::kFloat);
  const at::Tensor code = at::where(scale.eq(0), at::zeros({}, scale.options()), at::round(padded / scale)).clamp(-127, 127);
  return (code * scale).view({rows, blocks * kInt8Block}).slice(1, 0, k);
}

at::Tensor matrix_values(const at::Tensor& w_NK, Precision precision) {
  if (precision == Precision::kF32) return w_NK;
  if (precision == Precision::kBf16) return w_NK.to(at::kBFloat16).to(at::kFloat);
  if (precision == Precision::kInt8) return int8_values(w_NK);
  const Fp8Blocks blocks = fp8_quantize_ref(w_NK, kFp8Block, false);
  return fp8_dequantize_weight_ref(blocks.values, blocks.scales);
}

}  // namespace

at::Tensor int8_activations_ref(const at::Tensor& x) {
  const int64_t k = x.size(-1), blocks = (k + kInt8Block - 1) / kInt8Block;
  std::vector<int64_t> shape = x.sizes().vec();
  shape.back() = blocks, shape.push_back(kInt8Block);
  const at::Tensor padded = at::constant_pad_nd(x, {0, blocks * kInt8Block - k}).view(shape);
  const at::Tensor scale = at::amax(at::abs(padded), {-1}, true) / 32512;
  return at::where(scale.eq(0), padded, at::round(padded / scale) * scale).flatten(-2).slice(-1, 0, k);
}

at::Tensor stored_values_ref(const at::Tensor& weight, Precision precision, bool transposed) {
  if (weight.dim() == 3) {
    std::vector<at::Tensor> groups;
    for (int64_t e = 0; e < weight.size(0); ++e) groups.push_back(stored_values_ref(weight[e], precision, transposed));
    return at::stack(groups);
  }
  return transposed ? matrix_values(weight.t().contiguous(), precision).t().contiguous() : matrix_values(weight, precision);
}

}  // namespace finback
