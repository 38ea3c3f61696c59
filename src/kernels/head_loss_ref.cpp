#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "kernels/head_loss.h"

namespace finback {

HeadLoss head_loss_ref(const at::Tensor& h_TD, const at::Tensor& head_WD, const at::Tensor& targets_T, const at::Tensor& d_head_WD,
                       double nll_scale, double z_scale) {
  const at::NoGradGuard no_grad;
  const at::Tensor h = h_TD.detach();
  const at::Tensor valid_T = targets_T.ge(0), safe_T = targets_T.clamp_min(0);
  const at::Tensor logits_TW = at::matmul(h, head_WD.t());
  const at::Tensor lse_T = at::logsumexp(logits_TW, {1});
  const at::Tensor chosen_T = logits_TW.gather(1, safe_T.unsqueeze(1)).squeeze(1);
  HeadLoss loss;
  loss.nll_T = at::where(valid_T, lse_T - chosen_T, at::zeros_like(lse_T));
  loss.lse_T = at::where(valid_T, lse_T, at::zeros_like(lse_T));
  loss.argmax_T = at::where(valid_T, logits_TW.argmax(1), at::full_like(targets_T, -1));
  if (!d_head_WD.defined()) return loss;
  // d nll = softmax - onehot; d lse^2 = 2 lse softmax.
  at::Tensor dlogits_TW = at::softmax(logits_TW, 1) * (nll_scale + 2 * z_scale * lse_T).unsqueeze(1);
  dlogits_TW.scatter_add_(1, safe_T.unsqueeze(1), at::full({h.size(0), 1}, -nll_scale, h.options()));
  dlogits_TW = at::where(valid_T.unsqueeze(1), dlogits_TW, at::zeros_like(dlogits_TW));
  loss.dh_TD = at::matmul(dlogits_TW, head_WD);
  d_head_WD.add_(at::matmul(dlogits_TW.t(), h));
  return loss;
}

}  // namespace finback
