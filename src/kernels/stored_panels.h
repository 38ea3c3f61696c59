// Weight-only storage for serving: a weight in bf16, FP8 or int8, as panels that gemm.h multiplies by as they lie in memory; sums stay f32.
// bf16: the nearest. fp8: 128x128 blocks of E4M3 with f32 scales (fp8_block.h). A stored number stands for one f32 number, and the bits of a product are
// those of the f32 product with these numbers. int8: blocks of 32 along K of the multiplication, code = round(w / s), s = the bf16 number nearest to
// max |w| / 127; activations are rounded to 16 bits in the same blocks, and a block is summed in integers. Knows no layers.
#pragma once
#include <ATen/core/Tensor.h>

#include "gemm/panels.h"

namespace finback {

struct StoredPanels {
  Precision precision = Precision::kF32;
  int64_t k = 0;      // of the multiplication
  at::Tensor values;  // [groups][panels][k][width] codes; int8: as gemm.h says
  at::Tensor scales;  // [groups][...] as gemm.h says; undefined for bf16
  Panels of(int64_t group) const;
  int64_t bytes() const;
};
// weight: [N, K] or stacked [E, N, K], rows contiguous. Panels of W^T, for y = x W^T; backward: of W, for y = x W, whose int8 blocks run along N.
// Throws Error when a number is not finite or too large for the storage. REQUIRES: precision is not f32; a CPU tensor.
StoredPanels store_panels(const at::Tensor& weight, Precision precision, bool backward);
// The f32 numbers that they stand for, in the weight's shape: the definition, in plain ATen.
at::Tensor stored_values_ref(const at::Tensor& weight, Precision precision, bool backward);
// The activations [.., K] that int8 weights multiply: in each block of 32, round(x / s) s with s = max |x| / 32512.
at::Tensor int8_activations_ref(const at::Tensor& x);

// A matrix [rows, K] in int8 with a bf16 scale for every kInt8Block values of a row.
struct Int8Rows {
  at::Tensor codes;   // i8 [rows, K]
  at::Tensor scales;  // bf16 [rows, ceil(K / kInt8Block)]
};
Int8Rows int8_quantize_rows(const at::Tensor& w_NK);

}  // namespace finback
