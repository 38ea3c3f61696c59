// The SIMD code, compiled per instruction set, of rms_norm: ranges of rows and of columns. Knows no threads.
#pragma once
#include <cstdint>

namespace finback {

constexpr int64_t kRmsNormColumns = 64;  // a chunk of the weight gradient

struct RmsNormRows {
  // y [rows, d] contiguous; x rows x_stride apart.
  void (*forward)(int64_t rows, int64_t d, const float* x, int64_t x_stride, const float* weight, float eps, float* y, float* rstd);
  // x += residual first; both [rows, d] contiguous.
  void (*add_forward)(int64_t rows, int64_t d, float* x, const float* residual, const float* weight, float eps, float* y, float* rstd);
  // residual_dy [rows, d] contiguous, or null.
  void (*backward)(int64_t rows, int64_t d, const float* dy, int64_t dy_stride, const float* x, int64_t x_stride, const float* weight,
                   const float* rstd, const float* residual_dy, float* dx);
  // dweight[0, columns) += sum over rows, in order, of dy x rstd; columns <= kRmsNormColumns.
  void (*weight_columns)(int64_t rows, int64_t columns, const float* dy, int64_t dy_stride, const float* x, int64_t x_stride,
                         const float* rstd, float* dweight);
};
const RmsNormRows& rms_norm_rows();

}  // namespace finback
