#include "kernels/router.h"

#include "kernels/ref_grad.h"

namespace finback {

Routing route(const at::Tensor& logits_TE, const at::Tensor& bias_E, const RouterOptions& options) { return route_ref(logits_TE, bias_E, options); }

at::Tensor route_backward(const Routing& routing, const at::Tensor& d_weights_TK, const at::Tensor& d_scores_TE, const RouterOptions& o) {
  // Through the weights to the chosen scores, then through sigmoid or softmax.
  const at::Tensor chosen_TK = routing.scores_TE.gather(1, routing.topk_ids_TK);
  const at::Tensor d_chosen_TK = gradients_of(
      [&](const std::vector<at::Tensor>& in) {
        at::Tensor w = in[0];
        if (o.norm_topk_prob) w = w / (w.sum(-1, true) + 1e-20);
        return std::vector<at::Tensor>{w * o.routed_scaling_factor};
      },
      {chosen_TK}, {d_weights_TK})[0];
  at::Tensor d_scores = d_scores_TE.defined() ? d_scores_TE.clone() : at::zeros_like(routing.scores_TE);
  d_scores.scatter_add_(1, routing.topk_ids_TK, d_chosen_TK);
  const at::Tensor& s = routing.scores_TE;
  return o.sigmoid ? d_scores * s * (1 - s) : s * (d_scores - (d_scores * s).sum(-1, true));
}

at::Tensor sequence_balance(const at::Tensor& scores_TE, const at::Tensor& topk_ids_TK, const std::vector<int64_t>& starts_R1,
                            double coefficient, const at::Tensor& d_scores_TE) {
  if (d_scores_TE.defined()) {
    const at::Tensor ones = at::full({int64_t(starts_R1.size()) - 1}, coefficient, scores_TE.options());
    d_scores_TE.add_(gradients_of(
        [&](const std::vector<at::Tensor>& in) { return std::vector<at::Tensor>{sequence_balance_ref(in[0], topk_ids_TK, starts_R1)}; },
        {scores_TE}, {ones})[0]);
  }
  return sequence_balance_ref(scores_TE, topk_ids_TK, starts_R1);
}

at::Tensor expert_counts(const at::Tensor& topk_ids_TK, int64_t n_experts) {
  return at::bincount(topk_ids_TK.reshape({-1}), {}, n_experts).to(at::kLong);
}

}  // namespace finback
