// A linear's input as its products read it and as the backward pass keeps it, in the numerics of the sub-layer. Knows no weight.
#pragma once
#include <ATen/core/Tensor.h>

#include "kernels/quantized_linear.h"

namespace finback {

// What the linears of a sub-layer multiply: the operands of y and dx, and what is kept for the backward pass; the operands of dw.
struct Numerics {
  Precision precision = Precision::kF32, wgrad = Precision::kF32;
};

// `exact` is the f32 input, kept while an audit listens and undefined otherwise.
struct LinearInput {
  QuantizedRows rows;
  at::Tensor exact;
};
inline LinearInput linear_input(const at::Tensor& x_TK, const Numerics& numerics, bool audited) {
  return {quantize_rows(x_TK, numerics.precision), audited ? x_TK : at::Tensor()};
}

}  // namespace finback
