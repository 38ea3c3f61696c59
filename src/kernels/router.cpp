#include "kernels/router.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <limits>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/pool.h"
#include "kernels/backend.h"
#include "kernels/expert_choice_cpu.h"
#include "kernels/host_values.h"
#include "kernels/ref_grad.h"
#include "kernels/router_cpu.h"
#include "kernels/rows.h"

namespace finback {
namespace {

constexpr int64_t kRouterTokens = 64;

at::Tensor route_backward_ref(const Routing& routing, const at::Tensor& d_weights_TK, const at::Tensor& d_scores_TE,
                              const RouterOptions& o) {
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

// One token: d_logits[e] holds the balance loss's d_scores on entry (or zeros).
void backward_row(const float* s, const int64_t* ids, const float* d_weights, int64_t experts, const RouterOptions& o, float* d_logits) {
  const int64_t k = o.num_experts_per_tok;
  const float scaling = float(o.routed_scaling_factor);
  float total = 1.0f, mean = 0.0f;
  if (o.norm_topk_prob) {
    total = 0.0f;
    for (int64_t i = 0; i < k; ++i) total += s[ids[i]];
    total += 1e-20f;
    for (int64_t i = 0; i < k; ++i) mean += d_weights[i] * (s[ids[i]] / total);
  }
  for (int64_t i = 0; i < k; ++i) d_logits[ids[i]] += scaling * (d_weights[i] - mean) / total;
  if (o.sigmoid) {
    for (int64_t e = 0; e < experts; ++e) d_logits[e] = d_logits[e] * s[e] * (1.0f - s[e]);
    return;
  }
  float dot = 0.0f;
  for (int64_t e = 0; e < experts; ++e) dot += d_logits[e] * s[e];
  for (int64_t e = 0; e < experts; ++e) d_logits[e] = s[e] * (d_logits[e] - dot);
}

// V3 eq. 17-20 of one sequence of `rows` tokens; adds its gradient where d_scores is not null. Sums over tokens in f64, token order.
float balance_of_sequence(const float* scores, const int64_t* ids, int64_t rows, int64_t experts, int64_t k, double coefficient,
                          float* d_scores) {
  if (rows == 0) return 0.0f;
  std::vector<double> f_E(size_t(experts), 0.0), p_E(size_t(experts), 0.0);
  for (int64_t i = 0; i < rows * k; ++i) f_E[size_t(ids[i])] += 1.0;
  for (double& f : f_E) f *= double(experts) / double(k * rows);  // V3 eq. 18, realised selections
  for (int64_t t = 0; t < rows; ++t) {
    const float* s = scores + t * experts;
    double sum = 0, weighted = 0;
    for (int64_t e = 0; e < experts; ++e) sum += double(s[e]), weighted += f_E[size_t(e)] * double(s[e]);
    const double mean_f = weighted / sum, share = 1.0 / (sum * double(rows));
    for (int64_t e = 0; e < experts; ++e) p_E[size_t(e)] += double(s[e]) * share;  // V3 eq. 19-20
    if (d_scores == nullptr) continue;
    for (int64_t e = 0; e < experts; ++e) d_scores[t * experts + e] += float(coefficient * share * (f_E[size_t(e)] - mean_f));
  }
  double loss = 0;
  for (int64_t e = 0; e < experts; ++e) loss += f_E[size_t(e)] * p_E[size_t(e)];  // V3 eq. 17 without alpha
  return float(loss);
}

}  // namespace

Routing route(const at::Tensor& logits_TE, const at::Tensor& bias_E, const RouterOptions& options) {
  if (backend_of(logits_TE) == Backend::kRef) return route_ref(logits_TE, bias_E, options);
  const Rows logits = rows_of(logits_TE);
  const int64_t experts = logits.columns, k = options.num_experts_per_tok;
  FB_ASSERT(k >= 1 && k <= experts && experts % options.n_group == 0 && options.topk_group >= 1, "the config was checked");
  FB_ASSERT(!bias_E.defined() || (bias_E.numel() == experts && bias_E.is_contiguous()), "a bias an expert");
  Routing routing{at::empty({logits.count, experts}, logits_TE.options()),
                  at::empty({logits.count, k}, logits_TE.options().dtype(at::kLong)), at::empty({logits.count, k}, logits_TE.options())};
  const float* bias = bias_E.defined() ? bias_E.const_data_ptr<float>() : nullptr;
  float *scores = routing.scores_TE.mutable_data_ptr<float>(), *weights = routing.weights_TK.mutable_data_ptr<float>();
  int64_t* ids = routing.topk_ids_TK.mutable_data_ptr<int64_t>();
  parallel_ranges(logits.count, kRouterTokens, [&](int64_t begin, int64_t end) {
    ExpertChoice choice(experts, options);
    const auto score = options.sigmoid ? router_rows().sigmoid : router_rows().softmax;
    for (int64_t t = begin; t < end; ++t) {
      score(experts, logits.at(t), scores + t * experts);
      choice.choose(scores + t * experts, bias, ids + t * k);
      choice.weigh(scores + t * experts, ids + t * k, weights + t * k);
    }
  });
  return routing;
}

at::Tensor route_backward(const Routing& routing, const at::Tensor& d_weights_TK, const at::Tensor& d_scores_TE,
                          const RouterOptions& options) {
  if (backend_of(routing.scores_TE) == Backend::kRef) return route_backward_ref(routing, d_weights_TK, d_scores_TE, options);
  const Rows scores = rows_of(routing.scores_TE), d_weights = rows_of(d_weights_TK);
  at::Tensor d_logits_TE = d_scores_TE.defined() ? d_scores_TE.clone(at::MemoryFormat::Contiguous) : at::zeros_like(routing.scores_TE);
  float* d_logits = d_logits_TE.mutable_data_ptr<float>();
  const int64_t* ids = routing.topk_ids_TK.const_data_ptr<int64_t>();
  parallel_ranges(scores.count, kRouterTokens, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      backward_row(scores.at(t), ids + t * d_weights.columns, d_weights.at(t), scores.columns, options, d_logits + t * scores.columns);
    }
  });
  return d_logits_TE;
}

at::Tensor sequence_balance(const at::Tensor& scores_TE, const at::Tensor& topk_ids_TK, const at::Tensor& starts_A1, double coefficient,
                            const at::Tensor& d_scores_TE) {
  const int64_t sequences = std::max<int64_t>(starts_A1.size(0) - 1, 0);
  if (backend_of(scores_TE) == Backend::kRef) {
    if (d_scores_TE.defined() && sequences > 0) {
      const at::Tensor scale_A = at::full({sequences}, coefficient, scores_TE.options());
      d_scores_TE.add_(gradients_of(
          [&](const std::vector<at::Tensor>& in) { return std::vector<at::Tensor>{sequence_balance_ref(in[0], topk_ids_TK, starts_A1)}; },
          {scores_TE}, {scale_A})[0]);
    }
    return sequence_balance_ref(scores_TE, topk_ids_TK, starts_A1);
  }
  FB_ASSERT(scores_TE.is_contiguous() && topk_ids_TK.is_contiguous() && (!d_scores_TE.defined() || d_scores_TE.is_contiguous()),
            "as route() made them");
  const int64_t experts = scores_TE.size(1), k = topk_ids_TK.size(1);
  at::Tensor loss_A = at::empty({sequences}, scores_TE.options());
  float* loss = loss_A.mutable_data_ptr<float>();
  const float* scores = scores_TE.const_data_ptr<float>();
  const int64_t* ids = topk_ids_TK.const_data_ptr<int64_t>();
  float* d_scores = d_scores_TE.defined() ? d_scores_TE.mutable_data_ptr<float>() : nullptr;
  const std::span<const int64_t> starts = values_in_place(starts_A1);
  parallel_for(sequences, [&](int64_t r) {
    const int64_t begin = starts[size_t(r)], rows = starts[size_t(r) + 1] - begin;
    loss[r] = balance_of_sequence(scores + begin * experts, ids + begin * k, rows, experts, k, coefficient,
                                  d_scores == nullptr ? nullptr : d_scores + begin * experts);
  });
  return loss_A;
}

at::Tensor expert_counts(const at::Tensor& topk_ids_TK, int64_t n_experts) {
  if (backend_of(topk_ids_TK) == Backend::kRef) {  // not bincount, which waits for a device
    return at::zeros({n_experts}, topk_ids_TK.options())
        .scatter_add_(0, topk_ids_TK.reshape({-1}), at::ones_like(topk_ids_TK).reshape({-1}));
  }
  const at::Tensor ids_TK = topk_ids_TK.contiguous();
  at::Tensor counts_E = at::zeros({n_experts}, ids_TK.options());
  int64_t* counts = counts_E.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < ids_TK.numel(); ++i) ++counts[ids_TK.const_data_ptr<int64_t>()[i]];
  return counts_E;
}

}  // namespace finback
