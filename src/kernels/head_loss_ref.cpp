#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "kernels/head_loss.h"

namespace finback {

HeadLoss head_loss_ref(const at::Tensor& h_TD, const at::Tensor& head_WD, const at::Tensor& targets_T, const HeadGradient& wanted) {
  const at::NoGradGuard no_grad;
  const at::Tensor h = h_TD.detach();
  const at::Tensor valid_T = targets_T.ge(0), safe_T = targets_T.clamp_min(0);
  const at::Tensor logits_TW = at::matmul(h, head_WD.t());
  const at::Tensor lse_T = at::logsumexp(logits_TW, {1});
  const at::Tensor chosen_T = logits_TW.gather(1, safe_T.unsqueeze(1)).squeeze(1);
  HeadLoss loss;
  loss.logprob_T = at::where(valid_T, chosen_T - lse_T, at::zeros_like(lse_T));
  loss.lse_T = at::where(valid_T, lse_T, at::zeros_like(lse_T));
  loss.argmax_T = at::where(valid_T, logits_TW.argmax(1), at::full_like(targets_T, -1));
  if (!wanted.d_head_WD.defined()) return loss;
  at::Tensor scale_T = at::full_like(lse_T, wanted.scale);
  if (wanted.weigh) {
    const at::Tensor logprobs_T = loss.logprob_T.to(at::kCPU, at::kFloat).contiguous(), weights_T = at::empty_like(logprobs_T);
    const size_t rows = size_t(logprobs_T.numel());
    wanted.weigh(0, {logprobs_T.const_data_ptr<float>(), rows}, {weights_T.mutable_data_ptr<float>(), rows});
    scale_T = scale_T * weights_T.to(lse_T.device(), lse_T.scalar_type());
  } else if (wanted.weights_T.defined()) {
    scale_T = scale_T * wanted.weights_T;
  }
  // d (-log p) = softmax - onehot; d lse^2 = 2 lse softmax.
  at::Tensor dlogits_TW = at::softmax(logits_TW, 1) * (scale_T + 2 * wanted.z_scale * lse_T).unsqueeze(1);
  dlogits_TW.scatter_add_(1, safe_T.unsqueeze(1), -scale_T.unsqueeze(1));
  dlogits_TW = at::where(valid_T.unsqueeze(1), dlogits_TW, at::zeros_like(dlogits_TW));
  loss.dh_TD = at::matmul(dlogits_TW, head_WD);
  wanted.d_head_WD.add_(at::matmul(dlogits_TW.t(), h));
  return loss;
}

}  // namespace finback
