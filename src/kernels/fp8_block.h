// DeepSeek's block-scaled FP8: E4M3 values with one f32 scale a 128x128 weight block or a 1x128 activation tile.  V3 section 3.3.2.
// s = max(amax, 1e-4) / 448, q = cast(x / s) saturating; dequantised x = q * s (multiply, in spite of the name scale_inv). A NaN stays where
// it is and takes no part in amax; a block with an infinity becomes NaN. power_of_two_scales rounds s up to 2^n (UE8M0). Knows no models.
#pragma once
#include <ATen/core/Tensor.h>

namespace finback {

constexpr int64_t kFp8Block = 128;
constexpr float kFp8Floor = 1e-4f;  // of amax, as published
// In training: 448 * 2^-100. Gradients of a mean over tokens lie far below 1e-4, where the published floor leaves them only subnormals.
constexpr float kFp8TrainingFloor = 0x1.cp-92f;

struct Fp8Blocks {
  at::Tensor values;  // float8_e4m3fn, the shape of x
  at::Tensor scales;  // f32 [ceil(rows / 128), ceil(columns / 128)] or [rows, ceil(columns / 128)]
};
// x: any floating dtype, widened to f32 first.
Fp8Blocks fp8_quantize_weight(const at::Tensor& w_NK, bool power_of_two_scales = false);                               // 128x128
Fp8Blocks fp8_quantize_activation(const at::Tensor& x_TK, bool power_of_two_scales = false, float floor = kFp8Floor);  // 1x128
// The scale of a block whose largest magnitude is amax.
float fp8_scale(float amax, bool power_of_two, float floor = kFp8Floor);
// 128x128 blocks -> f32. REQUIRES: scales [ceil(N/128), ceil(K/128)].
at::Tensor fp8_dequantize_weight(const at::Tensor& values_NK, const at::Tensor& scales);

// The references, with a whole matrix of scales in memory.
Fp8Blocks fp8_quantize_ref(const at::Tensor& x_NK, int64_t block_rows, bool power_of_two_scales, float floor = kFp8Floor);
at::Tensor fp8_dequantize_weight_ref(const at::Tensor& values_NK, const at::Tensor& scales);

}  // namespace finback
