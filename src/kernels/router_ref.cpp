#include <ATen/ATen.h>

#include <algorithm>
#include <limits>

#include "kernels/router.h"

namespace finback {

Routing route_ref(const at::Tensor& logits_TE, const at::Tensor& bias_E, const RouterOptions& o) {
  const int64_t tokens = logits_TE.size(0), experts = logits_TE.size(1);
  Routing routing;
  routing.scores_TE = o.sigmoid ? at::sigmoid(logits_TE) : at::softmax(logits_TE, -1);
  at::Tensor choice_TE = routing.scores_TE.detach();
  if (bias_E.defined()) choice_TE = choice_TE + bias_E;
  if (o.topk_group < o.n_group) {
    const at::Tensor grouped = choice_TE.view({tokens, o.n_group, experts / o.n_group});
    const int64_t best = std::min<int64_t>(2, experts / o.n_group);
    const at::Tensor group_score = o.group_sum_top2 ? std::get<0>(grouped.topk(best, -1)).sum(-1) : grouped.amax(-1);
    const at::Tensor kept = std::get<1>(at::sort(group_score, /*stable=*/true, -1, /*descending=*/true)).slice(1, 0, o.topk_group);
    const at::Tensor mask = at::zeros_like(group_score).scatter_(1, kept, 1).to(at::kBool).unsqueeze(-1);
    choice_TE = grouped.masked_fill(mask.logical_not(), -std::numeric_limits<double>::infinity()).view({tokens, experts});
  }
  routing.topk_ids_TK =
      std::get<1>(at::sort(choice_TE, /*stable=*/true, -1, /*descending=*/true)).slice(1, 0, o.num_experts_per_tok).contiguous();
  at::Tensor weights_TK = routing.scores_TE.gather(1, routing.topk_ids_TK);
  if (o.norm_topk_prob) weights_TK = weights_TK / (weights_TK.sum(-1, true) + 1e-20);
  routing.weights_TK = weights_TK * o.routed_scaling_factor;
  return routing;
}

// The sums over a sequence's tokens are products with its row of ones.
at::Tensor sequence_balance_ref(const at::Tensor& scores_TE, const at::Tensor& topk_ids_TK, const at::Tensor& starts_A1) {
  const int64_t tokens = scores_TE.size(0), experts = scores_TE.size(1), k = topk_ids_TK.size(1),
                sequences = std::max<int64_t>(starts_A1.size(0) - 1, 0);
  const at::Tensor begin_A1 = starts_A1.slice(0, 0, sequences).unsqueeze(1), end_A1 = starts_A1.slice(0, 1).unsqueeze(1);
  const at::Tensor token_T = at::arange(tokens, starts_A1.options());
  const at::Tensor inside_AT = token_T.ge(begin_A1).logical_and(token_T.lt(end_A1)).to(scores_TE.scalar_type());
  const at::Tensor rows_A1 = (end_A1 - begin_A1).clamp_min(1).to(scores_TE.scalar_type());
  const at::Tensor chosen_TE = at::zeros_like(scores_TE).scatter_add_(1, topk_ids_TK, at::ones(topk_ids_TK.sizes(), scores_TE.options()));
  const at::Tensor f_AE = at::matmul(inside_AT, chosen_TE) * (double(experts) / double(k)) / rows_A1;  // V3 eq. 18, realised selections
  const at::Tensor p_AE = at::matmul(inside_AT, scores_TE / scores_TE.sum(-1, true)) / rows_A1;        // V3 eq. 19-20
  return (f_AE * p_AE).sum(1);                                                                         // V3 eq. 17 without alpha
}

}  // namespace finback
