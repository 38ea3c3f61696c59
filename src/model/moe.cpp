#include "model/moe.h"

#include <ATen/ATen.h>

#include <utility>

namespace finback {

namespace {

DenseFfn routed_experts(const Parameters& parameters, const std::string& prefix) {
  const std::string experts = prefix + "experts.";
  const bool trained = parameters.has_gradients();
  const auto matrix = [&](const std::string& name, const at::Tensor& values, const at::Tensor& gradients) {
    return Linear(experts + name, values, gradients, parameters);
  };
  return DenseFfn(
      matrix("gate_up_proj", parameters.stacked_gate_up(experts, false),
             trained ? parameters.stacked_gate_up(experts, true) : at::Tensor()),
      matrix("down_proj", parameters.stacked_down(experts, false), trained ? parameters.stacked_down(experts, true) : at::Tensor()));
}

}  // namespace

struct Moe::Saved {
  at::Tensor n_TD;  // f32 numerics; otherwise recomputed by again()
  std::function<at::Tensor()> again;
  Routing routing;
  DispatchedTokens dispatched;
  QuantizedRows y_SD;
  LayerBackward routed_backward, shared_backward;
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
      routed_(routed_experts(parameters, prefix)) {
  if (config.has_expert_bias()) bias_E_ = parameters.buffer(prefix + "gate.e_score_correction_bias");
  if (config.n_shared_experts > 0) shared_.emplace(parameters, prefix + "shared_experts.");
}

void Moe::set_numerics(const Numerics& numerics) {
  routed_.set_numerics(numerics);
  if (shared_) shared_->set_numerics(numerics);
}

void Moe::for_each_projection(const ProjectionVisitor& visit) {
  routed_.for_each_projection(visit);
  if (shared_) shared_->for_each_projection(visit);
}

void Moe::prepare(bool backward) {
  gate_.prepare(backward);
  routed_.prepare(backward);
  if (shared_) shared_->prepare(backward);
}

LayerResult Moe::forward(const at::Tensor& n_TD, const at::Tensor& u_TD, const std::shared_ptr<ForwardPass>& pass, bool keep,
                         const std::function<at::Tensor()>& again) const {
  auto saved = std::make_shared<Saved>();
  Saved& s = *saved;
  const bool f32 = routed_.numerics().precision == Precision::kF32;
  s.routing = route_tokens(n_TD, *pass);
  const LinearInput n = linear_input(n_TD, routed_.numerics(), pass->audit != nullptr);
  s.dispatched = dispatch(n, s.routing.topk_ids_TK, experts_, pass->row_groups);
  const ExpertResults y = run_experts(s.dispatched, n, pass, keep);
  // V3 eq. 12: routed, shared, residual.
  std::vector<at::Tensor> plus;
  if (shared_) plus.push_back(y.shared.y_TD);
  plus.push_back(u_TD);
  LayerResult result{combine(y.routed.y_TD, s.routing.weights_TK, s.dispatched, plus), {}};
  if (!keep) return result;
  if (f32) s.n_TD = n_TD;
  if (!f32) s.again = again;
  s.y_SD = quantize_rows(y.routed.y_TD, f32 ? Precision::kF32 : Precision::kBf16);  // for the gate's gradient only
  s.routed_backward = y.routed.backward, s.shared_backward = y.shared.backward;
  result.backward = [this, saved, pass](const at::Tensor& dy_TD) { return backward(dy_TD, *saved, *pass); };
  return result;
}

Routing Moe::route_tokens(const at::Tensor& n_TD, const ForwardPass& pass) const {
  Routing routing = route(gate_.forward(n_TD), bias_E_, options_);  // V3 eq. 13-16
  record(routing, pass);
  return routing;
}

Moe::ExpertResults Moe::run_experts(const DispatchedTokens& dispatched, const LinearInput& n, const std::shared_ptr<ForwardPass>& pass,
                                    bool keep) const {
  std::vector<DenseFfn::Call> calls = {{&routed_, dispatched.x, &dispatched.groups}};
  if (shared_) calls.push_back({&*shared_, n, &pass->row_groups});
  std::vector<LayerResult> results = DenseFfn::forward_all(calls, pass, keep);
  return {std::move(results.front()), shared_ ? std::move(results.back()) : LayerResult{}};
}

void Moe::record(const Routing& routing, const ForwardPass& pass) const {
  if (pass.log == nullptr) return;
  RouterLog::Layer entry;
  entry.layer = layer_;
  entry.counts_E = expert_counts(routing.topk_ids_TK, experts_);
  entry.topk_ids_TK = routing.topk_ids_TK;
  if (pass.balance_starts_A1.size(0) > 1) {
    entry.balance_loss_A = sequence_balance(routing.scores_TE, routing.topk_ids_TK, pass.balance_starts_A1, 0, {});  // V3 eq. 17-20
  }
  pass.log->layers.push_back(std::move(entry));
}

at::Tensor Moe::backward(const at::Tensor& dy_TD, const Saved& s, const ForwardPass& pass) const {
  const UnpermuteGrad d = combine_backward(dy_TD, dequantize_rows(s.y_SD), s.routing.weights_TK, s.dispatched);
  const at::Tensor dx_SD = s.routed_backward(d.dy_SD);
  std::vector<at::Tensor> plus;
  if (s.shared_backward) plus.push_back(s.shared_backward(dy_TD));
  plus.push_back(route_tokens_backward(d.d_weights_TK, s, pass));
  return dispatch_backward(dx_SD, s.dispatched, plus);
}

at::Tensor Moe::route_tokens_backward(const at::Tensor& d_weights_TK, const Saved& s, const ForwardPass& pass) const {
  at::Tensor d_scores_TE;
  if (pass.balance_scale != 0 && pass.balance_starts_A1.size(0) > 1) {
    d_scores_TE = at::zeros_like(s.routing.scores_TE);
    sequence_balance(s.routing.scores_TE, s.routing.topk_ids_TK, pass.balance_starts_A1, pass.balance_scale, d_scores_TE);
  }
  return gate_.backward(route_backward(s.routing, d_weights_TK, d_scores_TE, options_), s.n_TD.defined() ? s.n_TD : s.again());
}

}  // namespace finback
