#include <ATen/ATen.h>

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

at::Tensor sequence_balance_ref(const at::Tensor& scores_TE, const at::Tensor& topk_ids_TK, const std::vector<int64_t>& starts_R1) {
  const int64_t experts = scores_TE.size(1), k = topk_ids_TK.size(1);
  std::vector<at::Tensor> losses;
  for (size_t r = 0; r + 1 < starts_R1.size(); ++r) {
    const int64_t rows = starts_R1[r + 1] - starts_R1[r];
    if (rows == 0) {
      losses.push_back(at::zeros({}, scores_TE.options()));
      continue;
    }
    const at::Tensor scores = scores_TE.slice(0, starts_R1[r], starts_R1[r + 1]);
    const at::Tensor ids = topk_ids_TK.slice(0, starts_R1[r], starts_R1[r + 1]).reshape({-1});
    const at::Tensor counts_E = at::zeros({experts}, scores.options()).index_add_(0, ids, at::ones({ids.size(0)}, scores.options()));
    const at::Tensor f_E = counts_E * (double(experts) / double(k * rows));  // V3 eq. 18, realised selections
    const at::Tensor p_E = (scores / scores.sum(-1, true)).mean(0);          // V3 eq. 19-20
    losses.push_back((f_E * p_E).sum());                                     // V3 eq. 17 without alpha
  }
  return losses.empty() ? at::zeros({0}, scores_TE.options()) : at::stack(losses);
}

}  // namespace finback
