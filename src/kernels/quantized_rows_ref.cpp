#include <ATen/ATen.h>

#include "kernels/fp8_block.h"
#include "kernels/quantized_rows.h"

namespace finback {

at::Tensor quantized_rows_ref(const at::Tensor& x_TK, Precision precision) {
  if (precision == Precision::kF32) return x_TK;
  if (precision == Precision::kBf16) return x_TK.to(at::kBFloat16).to(at::kFloat);
  const Fp8Blocks tiles = fp8_quantize_ref(x_TK, 1, /*power_of_two_scales=*/true, kFp8TrainingFloor);
  return tiles.values.to(at::kFloat) * tiles.scales.repeat_interleave(kFp8Block, 1).narrow(1, 0, x_TK.size(1));
}

}  // namespace finback
