// Output head and cross-entropy in one op, in chunks of rows: no [T, W] tensor is kept. When gradients are wanted they are computed in the
// same pass (the caller knows all denominators beforehand).
#pragma once
#include <ATen/core/Tensor.h>

#include <span>

#include "kernels/linear.h"

namespace finback {

struct HeadLoss {
  at::Tensor nll_T;     // f32, -log p(target), 0 where masked
  at::Tensor lse_T;     // f32, log-sum-exp of the logits (for the z-loss), 0 where masked
  at::Tensor argmax_T;  // i64, the greedy guess; -1 where masked
  at::Tensor dh_TD;     // defined when gradients were asked for
};
// targets_T i64, -1 = masked. d_head_WD defined: gradients of  nll_scale * sum(nll) + z_scale * sum(lse^2)  go into d_head_WD (added) and
// dh_TD.
HeadLoss head_loss(const at::Tensor& h_TD, const PackedWeight& head_WD, const at::Tensor& targets_T, const at::Tensor& d_head_WD,
                   double nll_scale, double z_scale);
// What the log-probs of a row of logits are made of, with the bits of the op. Not for variant ref.
struct RowSoftmax {
  int32_t best;            // the lowest id of the highest logit
  float highest, log_sum;  // log of the sum of exp(logit - highest)
  float logprob(float logit) const { return -(log_sum - (logit - highest)); }
};
// exps_W, where not null, receives exp(logit - highest).
RowSoftmax row_softmax(std::span<const float> logits_W, float* exps_W = nullptr);
// log p(id) of one row of logits, with the bits of -nll_T: what a sampler reports is what training computes. Not finite when a logit is NaN
// or +inf, or all are -inf.
float token_logprob(std::span<const float> logits_W, int64_t id);
HeadLoss head_loss_ref(const at::Tensor& h_TD, const at::Tensor& head_WD, const at::Tensor& targets_T, const at::Tensor& d_head_WD,
                       double nll_scale, double z_scale);

}  // namespace finback
