// The MoE gate after its linear: scores, group-limited top-k with stable ties (the lower index wins), weights.  V3 eq. 12-16, V2
// section 2.2. Everything f32; the bias only selects and never enters a weight. Each row depends on itself alone.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

#include "kernels/router_options.h"

namespace finback {

struct Routing {
  at::Tensor scores_TE;    // f32, sigmoid or softmax of the logits
  at::Tensor topk_ids_TK;  // i64, best first
  at::Tensor weights_TK;   // f32, renormalised and scaled
};

// bias_E: e_score_correction_bias, may be undefined. Groups that are not chosen are masked with -inf (differs from old transformers: 0).
Routing route(const at::Tensor& logits_TE, const at::Tensor& bias_E, const RouterOptions& options);
// d_logits from the gradient of the weights, plus d_scores_TE (of the balance loss; may be undefined).
at::Tensor route_backward(const Routing& routing, const at::Tensor& d_weights_TK, const at::Tensor& d_scores_TE,
                          const RouterOptions& options);
Routing route_ref(const at::Tensor& logits_TE, const at::Tensor& bias_E, const RouterOptions& options);

// V3 eq. 17-20 over the rows [starts[r], starts[r+1]), i64 on the scores' device: loss_A[r] = sum_i f_i P_i with realised selections; alpha and averaging are the
// caller's. Returns loss_A (f32); when d_scores_TE is defined, adds coefficient * d(sum_r loss_r)/d(scores) into it.
at::Tensor sequence_balance(const at::Tensor& scores_TE, const at::Tensor& topk_ids_TK, const at::Tensor& starts_A1, double coefficient,
                            const at::Tensor& d_scores_TE);
at::Tensor sequence_balance_ref(const at::Tensor& scores_TE, const at::Tensor& topk_ids_TK, const at::Tensor& starts_A1);

// Tokens of each expert, int64 [E].
at::Tensor expert_counts(const at::Tensor& topk_ids_TK, int64_t n_experts);

}  // namespace finback
