// RMSNorm over the last dimension, statistics in f32.  V3 section 4.2: y = x * rsqrt(mean(x^2) + eps) * weight.
#pragma once
#include <ATen/core/Tensor.h>

namespace finback {

struct RmsNorm {
  at::Tensor y_TD;
  at::Tensor rstd_T;  // rsqrt(mean(x^2) + eps), for the backward pass
};
// x_TD may be a column slice (row stride > D); y is contiguous.
RmsNorm rms_norm(const at::Tensor& x_TD, const at::Tensor& weight_D, double eps);
// x_TD += residual_TD (both contiguous), then the norm of the sum: one pass over memory.
RmsNorm add_rms_norm_(const at::Tensor& x_TD, const at::Tensor& residual_TD, const at::Tensor& weight_D, double eps);
// Returns dx_TD (contiguous) and adds into dweight_D (may be undefined: not wanted), tokens in order. residual_dy_TD (contiguous; may be
// undefined), what comes down past the norm, is added to dx.
at::Tensor rms_norm_backward(const at::Tensor& dy_TD, const at::Tensor& x_TD, const at::Tensor& weight_D, const at::Tensor& rstd_T,
                             const at::Tensor& dweight_D, const at::Tensor& residual_dy_TD = {});
RmsNorm rms_norm_ref(const at::Tensor& x_TD, const at::Tensor& weight_D, double eps);

}  // namespace finback
