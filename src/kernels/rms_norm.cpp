#include "kernels/rms_norm.h"

#include "kernels/ref_grad.h"

namespace finback {

RmsNorm rms_norm(const at::Tensor& x_TD, const at::Tensor& weight_D, double eps) { return rms_norm_ref(x_TD, weight_D, eps); }

at::Tensor rms_norm_backward(const at::Tensor& dy_TD, const at::Tensor& x_TD, const at::Tensor& weight_D, const at::Tensor& rstd_T,
                             const at::Tensor& dweight_D) {
  // dx = rstd (w dy - x rstd^2 mean(x w dy)); dw = sum over tokens of x rstd dy.
  const at::Tensor normed_TD = x_TD * rstd_T.unsqueeze(-1), wdy_TD = dy_TD * weight_D;
  if (dweight_D.defined()) dweight_D.add_((dy_TD * normed_TD).sum(0));
  return (wdy_TD - normed_TD * (wdy_TD * normed_TD).mean(-1, true)) * rstd_T.unsqueeze(-1);
}

}  // namespace finback
