// Rows in the precision in which a linear layer multiplies them, and which its backward pass keeps: f32 as they are, bf16, or E4M3 with one
// power-of-two scale a 1x128 tile (V3 section 3.3.2; its scales are f32 where powers of two are not needed). A row's values depend on that row
// alone. Knows no weights.
#pragma once
#include <ATen/core/Tensor.h>

#include "gemm/precision.h"

namespace finback {

struct QuantizedRows {
  Precision precision = Precision::kF32;
  at::Tensor values_TK;  // f32, bf16 or float8_e4m3fn
  at::Tensor scales;     // fp8 only: f32 [T, ceil(K / 128)]
  int64_t count() const { return values_TK.size(0); }
  int64_t columns() const { return values_TK.size(1); }
};

// x_TK: f32, rows may be strided. f32: x_TK itself.
QuantizedRows quantize_rows(const at::Tensor& x_TK, Precision precision);
// f32 again; of f32 rows the tensor itself.
at::Tensor dequantize_rows(const QuantizedRows& rows);
// What dequantize_rows(quantize_rows(x, precision)) is, in plain ATen.
at::Tensor quantized_rows_ref(const at::Tensor& x_TK, Precision precision);

}  // namespace finback
