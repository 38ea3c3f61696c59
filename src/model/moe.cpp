#include "model/moe.h"

#include <ATen/ATen.h>

#include "kernels/swiglu.h"
#include "model/exact_sum.h"

namespace finback {

struct Moe::Saved {
  at::Tensor n_TD;
  Routing routing;
  Dispatch dispatch;
  at::Tensor x_SD, gate_up_S2F, a_SF, y_SD;
  std::function<at::Tensor(const at::Tensor&)> shared_backward;
};

RouterOptions router_options(const ModelConfig& config) {
  RouterOptions options;
  options.num_experts_per_tok = config.num_experts_per_tok;
  if (config.topk_method != "greedy") options.n_group = config.n_group, options.topk_group = config.topk_group;  // greedy knows no groups
  options.sigmoid = config.scoring_func == "sigmoid";
  options.group_sum_top2 = config.topk_method == "noaux_tc";
  options.norm_topk_prob = config.norm_topk_prob;
  options.routed_scaling_factor = config.routed_scaling_factor;
  return options;
}

Moe::Moe(const ModelConfig& config, const Parameters& parameters, const std::string& prefix, int64_t layer)
    : layer_(layer),
      experts_(config.n_routed_experts),
      options_(router_options(config)),
      gate_(parameters, prefix + "gate"),
      gate_up_(parameters.stacked_gate_up(prefix + "experts.", false), parameters.stamp()),
      down_(parameters.stacked_down(prefix + "experts.", false), parameters.stamp()) {
  if (config.has_expert_bias()) bias_E_ = parameters.buffer(prefix + "gate.e_score_correction_bias");
  if (parameters.has_gradients()) {
    d_gate_up_ = parameters.stacked_gate_up(prefix + "experts.", true);
    d_down_ = parameters.stacked_down(prefix + "experts.", true);
  }
  if (config.n_shared_experts > 0) shared_.emplace(parameters, prefix + "shared_experts.");
}

LayerResult Moe::forward(const at::Tensor& n_TD, const std::shared_ptr<ForwardPass>& pass, bool keep) const {
  auto saved = std::make_shared<Saved>();
  Saved& s = *saved;
  s.n_TD = n_TD;
  s.routing = route(gate_.forward(n_TD), bias_E_, options_);  // V3 eq. 13-16
  record(s.routing, *pass);
  s.dispatch = make_dispatch(s.routing.topk_ids_TK, experts_);
  s.x_SD = gather_rows(n_TD, s.dispatch.slot_token_S);
  s.gate_up_S2F = grouped_linear(s.x_SD, gate_up_, s.dispatch.offsets);
  s.a_SF = swiglu(s.gate_up_S2F);
  s.y_SD = grouped_linear(s.a_SF, down_, s.dispatch.offsets);
  LayerResult result{combine(s.y_SD, s.routing.weights_TK, s.dispatch.token_slots_TK), {}};  // V3 eq. 12, routed part
  if (shared_) {
    LayerResult shared = shared_->forward(n_TD, keep);
    result.y_TD.add_(shared.y_TD);  // V3 eq. 12, shared part; the residual is block.cpp's
    s.shared_backward = std::move(shared.backward);
  }
  if (keep) result.backward = [this, saved, pass](const at::Tensor& dy_TD) { return backward(dy_TD, *saved, *pass); };
  return result;
}

void Moe::record(const Routing& routing, const ForwardPass& pass) const {
  if (pass.log == nullptr) return;
  RouterLog::Layer entry;
  entry.layer = layer_;
  entry.counts_E = expert_counts(routing.topk_ids_TK, experts_);
  entry.topk_ids_TK = routing.topk_ids_TK;
  if (pass.balance_starts.size() > 1) {
    entry.balance_loss = exact_sum(sequence_balance(routing.scores_TE, routing.topk_ids_TK, pass.balance_starts, 0, {}));  // V3 eq. 17-20
  }
  pass.log->layers.push_back(std::move(entry));
}

at::Tensor Moe::backward(const at::Tensor& dy_TD, const Saved& s, const ForwardPass& pass) const {
  const CombineGrad d = combine_backward(dy_TD, s.y_SD, s.routing.weights_TK, s.dispatch.token_slots_TK);
  at::Tensor dn_TD = gather_rows_backward(experts_backward(d.dy_SD, s), s.dispatch.token_slots_TK);
  if (s.shared_backward) dn_TD.add_(s.shared_backward(dy_TD));
  return dn_TD.add_(gate_backward(d.d_weights_TK, s, pass));
}

at::Tensor Moe::experts_backward(const at::Tensor& dy_SD, const Saved& s) const {
  grouped_linear_wgrad_(d_down_, dy_SD, s.a_SF, s.dispatch.offsets);
  const at::Tensor d_gate_up_S2F = swiglu_backward(grouped_linear_dgrad(dy_SD, down_, s.dispatch.offsets), s.gate_up_S2F);
  grouped_linear_wgrad_(d_gate_up_, d_gate_up_S2F, s.x_SD, s.dispatch.offsets);
  return grouped_linear_dgrad(d_gate_up_S2F, gate_up_, s.dispatch.offsets);
}

at::Tensor Moe::gate_backward(const at::Tensor& d_weights_TK, const Saved& s, const ForwardPass& pass) const {
  at::Tensor d_scores_TE;
  if (pass.balance_scale != 0 && pass.balance_starts.size() > 1) {
    d_scores_TE = at::zeros_like(s.routing.scores_TE);
    sequence_balance(s.routing.scores_TE, s.routing.topk_ids_TK, pass.balance_starts, pass.balance_scale, d_scores_TE);
  }
  return gate_.backward(route_backward(s.routing, d_weights_TK, d_scores_TE, options_), s.n_TD);
}

}  // namespace finback
