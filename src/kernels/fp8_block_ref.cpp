#include <ATen/ATen.h>

#include "kernels/fp8_block.h"

namespace finback {
namespace {

// One scale a block -> one a value.
at::Tensor spread(const at::Tensor& scales, int64_t block_rows, at::IntArrayRef sizes) {
  return scales.repeat_interleave(block_rows, 0).repeat_interleave(kFp8Block, 1).narrow(0, 0, sizes[0]).narrow(1, 0, sizes[1]);
}

}  // namespace

Fp8Blocks fp8_quantize_ref(const at::Tensor& x_NK, int64_t block_rows, bool power_of_two_scales, float floor) {
  const at::Tensor x = x_NK.to(at::kFloat);
  const int64_t rows = (x.size(0) + block_rows - 1) / block_rows, columns = (x.size(1) + kFp8Block - 1) / kFp8Block;
  if (rows * columns == 0) return {at::empty(x.sizes(), x.options().dtype(at::kFloat8_e4m3fn)), at::zeros({rows, columns}, x.options())};
  const at::Tensor magnitude = at::where(x.isnan(), at::zeros_like(x), x.abs());
  const at::Tensor padded = at::constant_pad_nd(magnitude, {0, columns * kFp8Block - x.size(1), 0, rows * block_rows - x.size(0)}, 0);
  at::Tensor scales = padded.view({rows, block_rows, columns, kFp8Block}).amax({1, 3}).clamp_min(floor) / 448;
  if (power_of_two_scales) scales = at::exp2(at::ceil(at::log2(scales.to(at::kDouble)))).to(at::kFloat);
  return {(x / spread(scales, block_rows, x.sizes())).clamp(-448, 448).to(at::kFloat8_e4m3fn), scales};
}

at::Tensor fp8_dequantize_weight_ref(const at::Tensor& values_NK, const at::Tensor& scales) {
  return values_NK.to(at::kFloat) * spread(scales.to(at::kFloat), kFp8Block, values_NK.sizes());
}

}  // namespace finback
