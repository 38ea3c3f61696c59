#include "model/moe.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <utility>

#include "model/tick_sum.h"

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

// Where an expert's permuted rows pass from one packed row to the next, and where an expert begins: see Note [Tiles along tokens].
std::vector<int64_t> slot_cuts(const TokenPermutation& permutation, const std::vector<int64_t>& row_starts) {
  std::vector<int64_t> cuts = {0};
  const at::Tensor tokens_S = permutation.sorted_token_ids_S.to(at::kCPU);
  const int64_t* token = tokens_S.const_data_ptr<int64_t>();
  for (size_t e = 0; e + 1 < permutation.expert_offsets.size(); ++e) {
    const int64_t *first = token + permutation.expert_offsets[e], *end = token + permutation.expert_offsets[e + 1];
    for (const int64_t row : row_starts) {
      const int64_t slot = std::lower_bound(first, end, row) - token;
      if (slot > cuts.back()) cuts.push_back(slot);
    }
    if (permutation.expert_offsets[e + 1] > cuts.back()) cuts.push_back(permutation.expert_offsets[e + 1]);
  }
  return cuts;
}

// Rows of the sampled tokens, by expert.
std::vector<int64_t> sampled_slots(const TokenPermutation& permutation, int64_t tokens) {
  std::vector<int64_t> counts;
  const at::Tensor tokens_S = permutation.sorted_token_ids_S.to(at::kCPU);
  const int64_t* token = tokens_S.const_data_ptr<int64_t>();
  for (size_t e = 0; e + 1 < permutation.expert_offsets.size(); ++e) {
    const int64_t* first = token + permutation.expert_offsets[e];
    counts.push_back(std::lower_bound(first, token + permutation.expert_offsets[e + 1], tokens) - first);
  }
  return counts;
}

}  // namespace

struct Moe::Saved {
  at::Tensor n_TD;  // f32 numerics; otherwise recomputed by again()
  std::function<at::Tensor()> again;
  Routing routing;
  TokenPermutation permutation;
  RowGroups slots;
  QuantizedRows y_SD;
  std::function<at::Tensor(const at::Tensor&)> routed_backward, shared_backward;
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
  s.routing = route(gate_.forward(n_TD), bias_E_, options_);  // V3 eq. 13-16
  record(s.routing, *pass);
  s.permutation = make_permutation(s.routing.topk_ids_TK, experts_);
  s.slots.offsets = s.permutation.expert_offsets;
  const LinearInput n = linear_input(n_TD, routed_.numerics(), pass->audit != nullptr);
  LinearInput x = n;
  if (f32) {
    s.n_TD = n_TD;
    x.rows.values_TK = permute(n_TD, s.permutation.sorted_token_ids_S);
  } else {  // a row is quantized once; each expert reads it where it lies
    s.again = again;
    s.slots.source_rows_S = s.permutation.sorted_token_ids_S;
    s.slots.tile_boundaries = slot_cuts(s.permutation, pass->row_slots.tile_boundaries);
    if (pass->audit != nullptr) s.slots.sampled = sampled_slots(s.permutation, pass->row_slots.sampled[0]);
  }
  std::vector<DenseFfn::Call> calls = {{&routed_, x, &s.slots}};
  if (shared_) calls.push_back({&*shared_, n, &pass->row_slots});
  std::vector<LayerResult> results = DenseFfn::forward_all(calls, pass, keep);
  LayerResult &routed = results.front(), &shared = results.back();
  if (keep) s.y_SD = quantize_rows(routed.y_TD, f32 ? Precision::kF32 : Precision::kBf16);  // for the gate's gradient only
  s.routed_backward = routed.backward;
  if (shared_) s.shared_backward = shared.backward;
  // V3 eq. 12: routed, shared, residual.
  std::vector<at::Tensor> plus;
  if (shared_) plus.push_back(shared.y_TD);
  plus.push_back(u_TD);
  LayerResult result{unpermute(routed.y_TD, s.routing.weights_TK, s.permutation.permuted_rows_TK, plus), {}};
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
    entry.balance_loss = tick_sum(sequence_balance(routing.scores_TE, routing.topk_ids_TK, pass.balance_starts, 0, {}));  // V3 eq. 17-20
  }
  pass.log->layers.push_back(std::move(entry));
}

at::Tensor Moe::backward(const at::Tensor& dy_TD, const Saved& s, const ForwardPass& pass) const {
  const UnpermuteGrad d = unpermute_backward(dy_TD, dequantize_rows(s.y_SD), s.routing.weights_TK, s.permutation.permuted_rows_TK);
  const at::Tensor dx_SD = s.routed_backward(d.dy_SD);
  std::vector<at::Tensor> plus;
  if (s.shared_backward) plus.push_back(s.shared_backward(dy_TD));
  plus.push_back(gate_backward(d.d_weights_TK, s, pass));
  return permute_backward(dx_SD, s.permutation.permuted_rows_TK, plus);
}

at::Tensor Moe::gate_backward(const at::Tensor& d_weights_TK, const Saved& s, const ForwardPass& pass) const {
  at::Tensor d_scores_TE;
  if (pass.balance_scale != 0 && pass.balance_starts.size() > 1) {
    d_scores_TE = at::zeros_like(s.routing.scores_TE);
    sequence_balance(s.routing.scores_TE, s.routing.topk_ids_TK, pass.balance_starts, pass.balance_scale, d_scores_TE);
  }
  return gate_.backward(route_backward(s.routing, d_weights_TK, d_scores_TE, options_), s.n_TD.defined() ? s.n_TD : s.again());
}

}  // namespace finback
