// Output head and log-probs of the targets in one op, in chunks of rows: no [T, vocab] tensor is kept. When gradients are wanted they are computed
// in the same pass: the caller knows all denominators beforehand, and says what each row weighs when its log-prob is there. One op for
// pretraining, supervised fine-tuning and policy gradients.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <span>

#include "kernels/linear.h"

namespace finback {

struct HeadLoss {
  at::Tensor logprob_T;  // f32, log p(target), 0 where masked
  at::Tensor lse_T;      // f32, log-sum-exp of the logits (for the z-loss), 0 where masked
  at::Tensor argmax_T;   // i64, the greedy token; -1 where masked
  at::Tensor dh_TD;      // defined when gradients were asked for
};

// Weights of rows [first, first + n) from their log-probs: what a policy gradient multiplies grad log p by depends on log p itself. Called on pool
// threads for a few rows at a time, once for every row; the result must depend on the row alone. Masked rows have log-prob 0 and no gradient.
using WeighRows = std::function<void(int64_t first, std::span<const float> logprobs, std::span<float> weights)>;

// The gradient that is wanted: of  scale * sum_t weight_t (-logprob_t)  +  z_scale * sum_t lse_t^2.
struct HeadGradient {
  at::Tensor d_head_WD;  // added to; undefined: none is wanted
  double scale = 1, z_scale = 0;
  at::Tensor weights_T{};  // f32; undefined: 1
  WeighRows weigh{};       // instead of weights_T; may be empty
};
// targets_T i64, -1 = masked.
HeadLoss head_loss(const at::Tensor& h_TD, const WeightOperand& head_WD, const at::Tensor& targets_T, const HeadGradient& wanted = {});
// What the log-probs of a row of logits are made of, with the bits of the op. Not for variant ref.
struct RowSoftmax {
  int32_t best;            // the lowest id of the highest logit
  float highest, log_sum;  // log of the sum of exp(logit - highest)
  float logprob(float logit) const { return (logit - highest) - log_sum; }
};
// exps_W, where not null, receives exp(logit - highest).
RowSoftmax row_softmax(std::span<const float> logits_W, float* exps_W = nullptr);
// log p(id) of one row of logits, with the bits of logprob_T: what a sampler reports is what training computes. Not finite when a logit is NaN
// or +inf, or all are -inf.
float token_logprob(std::span<const float> logits_W, int64_t id);
HeadLoss head_loss_ref(const at::Tensor& h_TD, const at::Tensor& head_WD, const at::Tensor& targets_T, const HeadGradient& wanted = {});

}  // namespace finback
