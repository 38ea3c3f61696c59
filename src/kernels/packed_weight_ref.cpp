#include <ATen/ATen.h>

#include "kernels/fp8_block.h"
#include "kernels/packed_weight.h"
#include "kernels/quantized_rows.h"

namespace finback {

at::Tensor quantized_weight_ref(const at::Tensor& w_NK, Precision precision) {
  if (precision != Precision::kFp8) return quantized_rows_ref(w_NK, precision);
  const Fp8Blocks blocks = fp8_quantize_ref(w_NK, kFp8Block, /*power_of_two_scales=*/true, kFp8TrainingFloor);
  return fp8_dequantize_weight_ref(blocks.values, blocks.scales);
}

}  // namespace finback
