// The training objective of one micro-batch: main next-token loss, MTP losses (V3 eq. 24-25), the z-loss, and the balance gradient, forward
// and backward. Used by training, validation and parity alike. Knows nothing of optimizers, steps or schedules: every denominator comes from the
// caller, who knows the whole step. Sums are exact (see Note [Exact loss sums] in lm_loss.cpp), so micro-batches add up to the same numbers
// as one big batch.
#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/head_loss.h"
#include "model/tick_sum.h"
#include "model/transformer.h"

namespace finback {

struct LossInputs {
  at::Tensor targets_T;         // i64, the token that each row must predict; -1 = masked
  at::Tensor weights_T;         // f32, contiguous, multiplies each target's loss, main and MTP; undefined: 1
  WeighRows weigh;              // instead of weights_T in the main head's gradient: policy gradients (kernels/head_loss.h); may be empty
  double main_denominator = 1;  // unmasked targets of the whole step: weights do not enter it
  std::vector<double> mtp_denominators;   // the same for each MTP depth; empty: no MTP. A depth with 0 has no targets and no gradient
  double mtp_lambda = 0;                  // weight of the mean over depths of the MTP losses; 0: forward only, no gradient from MTP
  double z_loss = 0;                      // weight of mean(log-sum-exp^2) of the main head
  ForwardOptions forward;                 // its log must be null: the result has one
  std::function<void()> before_backward;  // called when the forward pass and the losses are done; may be empty
  bool gradients = false;                 // adds gradients into the model's parameters
  bool last = true;  // last micro-batch of the step: see Parameters::fold_shared_gradients. False saves nothing but bits
};

struct LossResult {
  TickSum main_nll;      // nats over the unmasked targets, each once
  TickSum weighted_nll;  // the same, each times its weight: what was differentiated, unless `weigh` decided
  int64_t main_count = 0;
  std::vector<TickSum> mtp_nll;  // by depth, weighted
  std::vector<int64_t> mtp_count;
  TickSum z;                       // sum of log-sum-exp^2, unweighted
  TickSum balance;                 // over MoE layers and balance rows, without alpha
  std::vector<int64_t> mtp_agree;  // rows where the MTP head's greedy token is the main head's
  RouterLog router;
  at::Tensor logprobs_T;  // f32, log p of each target, 0 where masked
};

// REQUIRES: gradients only on a trainable model, without a cache. Throws Error for a token or target out of the vocabulary or a position out
// of the table.
LossResult lm_loss(Transformer& model, const Batch& batch, const LossInputs& inputs);

// Unmasked targets of each MTP depth in one batch: row i of depth k predicts what row i + k + 1 of its sequence predicts.
std::vector<int64_t> mtp_target_counts(const Batch& batch, const at::Tensor& targets_T, int64_t n_mtp);

}  // namespace finback
