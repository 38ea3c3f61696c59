// A matrix of f32 rows as the CPU kernels see it: raw pointer, row stride, unit column stride. Checks the layout once at an op's edge.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

#include "base/error.h"

namespace finback {

struct Rows {
  const float* data;
  int64_t count, columns, stride;
  const float* at(int64_t row) const { return data + row * stride; }
};
// x [rows, columns]; rows may be strided (a column slice).
inline Rows rows_of(const at::Tensor& x) {
  FB_ASSERT(x.dim() == 2 && x.scalar_type() == at::kFloat && (x.stride(1) == 1 || x.size(1) <= 1),
            "expected rows of f32 with unit column stride");
  return {x.const_data_ptr<float>(), x.size(0), x.size(1), x.stride(0)};
}

// x itself, or a copy whose last dimension is contiguous. f32 of any rank.
inline at::Tensor unit_columns(const at::Tensor& x) {
  FB_ASSERT(x.scalar_type() == at::kFloat, "f32");
  return x.stride(-1) == 1 || x.size(-1) <= 1 ? x : x.contiguous();
}

}  // namespace finback
