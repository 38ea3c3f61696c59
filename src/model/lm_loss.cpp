#include "model/lm_loss.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "base/error.h"
#include "kernels/head_loss.h"
#include "model/mtp.h"
#include "model/sub_layer.h"
#include "model/tick_sum.h"

// Note [Exact loss sums]
// A f32 sum depends on its order, and the order depends on how a step was cut into micro-batches. So each row's loss (f32) is rounded to a
// multiple of 2^-24 (a tick) and counted in int64: exact up to 2^39 nats a step, in any order and any grouping, and integers may be reduced
// over processes by anyone. A row loses at most 2^-25 nats, less than one f32 rounding of a loss above 0.5. The z-loss and the balance loss are
// counted in the same ticks. Gradients need no such care: every weight's gradient is one chain of additions in token order that the next micro-batch
// continues, and what several places add to one tensor is kept apart until the last micro-batch (Parameters::fold_shared_gradients).

namespace finback {
namespace {

// The rows of one depth: 0 the main model, k + 1 MTP depth k.
struct Depth {
  Batch batch;
  at::Tensor hidden_TD;
  at::Tensor targets_T, predictions_T;  // predictions: the main head's greedy token for each target
  at::Tensor weights_T;                 // f32, of each target; undefined: 1
};

// What the backward pass begins with.
struct BackwardStarts {
  std::vector<at::Tensor> outputs, doutputs;
  void add(const at::Tensor& output, const at::Tensor& doutput) { outputs.push_back(output), doutputs.push_back(doutput); }
};

int64_t unmasked(const at::Tensor& targets_T) { return targets_T.ge(0).sum().item<int64_t>(); }

HeadLoss head_of(const Transformer& model, const at::Tensor& h_TD, const at::Tensor& targets_T, const HeadGradient& wanted) {
  const at::NoGradGuard no_grad;
  return head_loss(h_TD.detach(), model.head(), targets_T, wanted);
}

// -sum of weight * logprob; weights_T undefined: 1.
TickSum nll_of(const HeadLoss& loss, const at::Tensor& weights_T) {
  return tick_sum(weights_T.defined() ? loss.logprob_T * weights_T.to(loss.logprob_T.device()) : loss.logprob_T,
                  [](double x) { return -x; });
}

// Once, before any work: every depth's targets are some of these.
void check_targets(const at::Tensor& targets_T, int64_t vocab_size) {
  if (targets_T.numel() == 0) return;
  const int64_t high = targets_T.max().item<int64_t>();
  FB_CHECK(high < vocab_size, "expected targets from 0 to {} (-1: masked), got {}", vocab_size - 1, high);
}

// Adds MTP's part, from the main model's depth on.
void mtp_losses(Transformer& model, const LossInputs& in, const ForwardOptions& forward, Depth depth, LossResult& result,
                BackwardStarts& starts) {
  const int64_t depths = int64_t(in.mtp_denominators.size());
  const bool gradients = in.gradients && in.mtp_lambda != 0;
  const at::AutoGradMode grad_mode(gradients);
  for (int64_t k = 0; k < depths; ++k) {
    Transformer::Mtp mtp = model.mtp_forward(k, depth.batch, depth.hidden_TD, forward);
    depth.targets_T = next_in_sequence(depth.targets_T, mtp.rows);
    depth.predictions_T = next_in_sequence(depth.predictions_T, mtp.rows);
    if (depth.weights_T.defined()) depth.weights_T = next_in_sequence(depth.weights_T, mtp.rows);
    const double denominator = in.mtp_denominators[size_t(k)];
    const bool differentiated = gradients && denominator > 0 && mtp.batch.tokens() > 0;
    // V3 eq. 24-25. Differs from eq. 24: the mean is over the targets that exist, not over T.
    const double scale = differentiated ? in.mtp_lambda / double(depths) / denominator : 0;
    result.mtp_nll.emplace_back(), result.mtp_count.push_back(0), result.mtp_agree.push_back(0);
    if (mtp.batch.tokens() > 0) {
      const HeadLoss loss = head_of(model, mtp.hidden_TD, depth.targets_T,
                                    {differentiated ? model.head_grad(1 + k) : at::Tensor(), scale, 0, depth.weights_T});
      result.mtp_nll.back() = nll_of(loss, depth.weights_T);
      result.mtp_count.back() = unmasked(depth.targets_T);
      result.mtp_agree.back() = (loss.argmax_T.eq(depth.predictions_T) & depth.targets_T.ge(0)).sum().item<int64_t>();
      if (differentiated) starts.add(mtp.hidden_TD, loss.dh_TD);
    }
    depth.batch = std::move(mtp.batch);
    depth.hidden_TD = mtp.hidden_TD;
  }
}

}  // namespace

LossResult lm_loss(Transformer& model, const Batch& batch, const LossInputs& in) {
  FB_ASSERT(in.forward.log == nullptr, "the result has a router log of its own");
  FB_ASSERT(!in.gradients || (model.parameters().has_gradients() && in.forward.cache == nullptr),
            "gradients need a trainable model and no cache");
  FB_ASSERT(int64_t(in.mtp_denominators.size()) <= model.config().num_nextn_predict_layers, "the model has a module for each depth");
  check_targets(in.targets_T, model.config().vocab_size);
  const at::AutoGradMode grad_mode(in.gradients);
  LossResult result;
  ForwardOptions forward = in.forward;
  forward.log = &result.router;
  const at::Tensor hidden_TD = model.forward(batch, forward);
  const HeadLoss main = head_of(
      model, hidden_TD, in.targets_T,
      {in.gradients ? model.head_grad(0) : at::Tensor(), 1 / in.main_denominator, in.z_loss / in.main_denominator, in.weights_T, in.weigh});
  result.main_nll = nll_of(main, {});
  result.weighted_nll = in.weights_T.defined() ? nll_of(main, in.weights_T) : result.main_nll;
  result.logprobs_T = main.logprob_T;
  result.main_count = unmasked(in.targets_T);
  result.z = tick_sum(main.lse_T, [](double lse) { return lse * lse; });
  BackwardStarts starts;
  starts.add(hidden_TD, main.dh_TD);
  mtp_losses(model, in, forward, {batch, hidden_TD, in.targets_T, main.argmax_T, in.weights_T}, result, starts);
  for (const RouterLog::Layer& layer : result.router.layers) {
    if (layer.balance_loss_A.defined()) result.balance += tick_sum(layer.balance_loss_A);
  }
  if (!in.gradients) return result;
  if (in.before_backward) in.before_backward();
  backward_from(starts.outputs, starts.doutputs);
  if (in.last) model.parameters().fold_shared_gradients();
  return result;
}

std::vector<int64_t> mtp_target_counts(const Batch& batch, const at::Tensor& targets_T, int64_t n_mtp) {
  std::vector<int64_t> counts;
  MtpRows rows;
  const Batch* below = &batch;
  at::Tensor targets = targets_T;
  for (int64_t k = 0; k < n_mtp; ++k) {
    MtpRows next = mtp_rows(*below);
    targets = next_in_sequence(targets, next.rows);
    counts.push_back(unmasked(targets));
    rows = std::move(next);
    below = &rows.batch;
  }
  return counts;
}

}  // namespace finback
