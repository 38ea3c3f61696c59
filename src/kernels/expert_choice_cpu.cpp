#include "kernels/expert_choice_cpu.h"

#include <algorithm>
#include <limits>

namespace finback {
namespace {

// The first of the highest among those not taken; NaN never displaces another. Selections instead of branches: which expert is best is
// random to a branch predictor.
int64_t first_highest(const std::vector<float>& values, const std::vector<uint8_t>& taken) {
  size_t best = 0;
  while (taken[best] != 0) ++best;
  float highest = values[best];
  for (size_t i = best + 1; i < values.size(); ++i) {
    const bool better = (taken[i] == 0) & (values[i] > highest);
    best = better ? i : best;
    highest = better ? values[i] : highest;
  }
  return int64_t(best);
}

}  // namespace

ExpertChoice::ExpertChoice(int64_t experts, const RouterOptions& options)
    : experts_(experts), options_(options), choice_(size_t(experts)), group_score_(size_t(options.n_group)) {}

void ExpertChoice::mask_groups() {
  const int64_t width = experts_ / options_.n_group;
  for (int64_t g = 0; g < options_.n_group; ++g) {
    float best = -std::numeric_limits<float>::infinity(), second = best;
    for (int64_t e = g * width; e < (g + 1) * width; ++e) {
      const float value = choice_[size_t(e)], loser = value > best ? best : value;
      best = value > best ? value : best;
      second = loser > second ? loser : second;
    }
    group_score_[size_t(g)] = options_.group_sum_top2 && width > 1 ? best + second : best;
  }
  taken_.assign(size_t(options_.n_group), 0);
  for (int64_t i = 0; i < options_.topk_group; ++i) taken_[size_t(first_highest(group_score_, taken_))] = 1;
  for (int64_t g = 0; g < options_.n_group; ++g) {
    if (taken_[size_t(g)] == 0) std::fill_n(choice_.begin() + g * width, width, -std::numeric_limits<float>::infinity());
  }
}

void ExpertChoice::choose(const float* scores, const float* bias, int64_t* ids) {
  for (int64_t e = 0; e < experts_; ++e) choice_[size_t(e)] = bias == nullptr ? scores[e] : scores[e] + bias[e];
  if (options_.topk_group < options_.n_group) mask_groups();
  taken_.assign(size_t(experts_), 0);
  for (int64_t i = 0; i < options_.num_experts_per_tok; ++i) {
    ids[i] = first_highest(choice_, taken_);
    taken_[size_t(ids[i])] = 1;
  }
}

void ExpertChoice::weigh(const float* scores, const int64_t* ids, float* weights) const {
  const int64_t k = options_.num_experts_per_tok;
  float total = 1.0f;
  if (options_.norm_topk_prob) {
    total = 0.0f;
    for (int64_t i = 0; i < k; ++i) total += scores[ids[i]];
    total += 1e-20f;
  }
  for (int64_t i = 0; i < k; ++i) weights[i] = scores[ids[i]] / total * float(options_.routed_scaling_factor);
}

}  // namespace finback
