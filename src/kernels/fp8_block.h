// DeepSeek's block-scaled FP8: E4M3 values with one f32 scale a 128x128 weight block or a 1x128 activation tile.  V3 section 3.3.2.
// s = max(amax, 1e-4) / 448, q = cast(x / s) saturating, NaN kept; dequantised x = q * s (multiply, in spite of the name scale_inv).
#pragma once
#include <ATen/core/Tensor.h>

namespace finback {

struct Fp8Blocks {
  at::Tensor values;  // float8_e4m3fn, the shape of x
  at::Tensor scales;  // f32 [ceil(rows / 128), ceil(columns / 128)] or [rows, ceil(columns / 128)]
};
Fp8Blocks fp8_quantize_weight(const at::Tensor& w_NK, bool power_of_two_scales = false);      // 128x128
Fp8Blocks fp8_quantize_activation(const at::Tensor& x_TK, bool power_of_two_scales = false);  // 1x128
// 128x128 blocks -> f32. REQUIRES: scales [ceil(N/128), ceil(K/128)].
at::Tensor fp8_dequantize_weight(const at::Tensor& values_NK, const at::Tensor& scales);
at::Tensor fp8_dequantize_weight_ref(const at::Tensor& values_NK, const at::Tensor& scales);

}  // namespace finback
