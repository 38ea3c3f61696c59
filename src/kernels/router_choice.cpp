#include "kernels/router_choice.h"

#include <algorithm>
#include <limits>

namespace finback {
namespace {

// The first of the highest among those not taken; NaN never displaces another.
int64_t first_highest(const std::vector<float>& values, const std::vector<uint8_t>& taken) {
  int64_t best = -1;
  for (size_t i = 0; i < values.size(); ++i) {
    if (!taken[i] && (best < 0 || values[i] > values[size_t(best)])) best = int64_t(i);
  }
  return best;
}

}  // namespace

ExpertChoice::ExpertChoice(int64_t experts, const RouterOptions& options)
    : experts_(experts), options_(options), choice_(size_t(experts)), group_score_(size_t(options.n_group)) {}

void ExpertChoice::mask_groups() {
  const int64_t width = experts_ / options_.n_group;
  for (int64_t g = 0; g < options_.n_group; ++g) {
    float best = -std::numeric_limits<float>::infinity(), second = best;
    for (int64_t e = g * width; e < (g + 1) * width; ++e) {
      if (choice_[size_t(e)] > best) {
        second = best, best = choice_[size_t(e)];
      } else if (choice_[size_t(e)] > second) {
        second = choice_[size_t(e)];
      }
    }
    group_score_[size_t(g)] = options_.group_sum_top2 && width > 1 ? best + second : best;
  }
  taken_.assign(size_t(options_.n_group), 0);
  for (int64_t i = 0; i < options_.topk_group; ++i) taken_[size_t(first_highest(group_score_, taken_))] = 1;
  for (int64_t e = 0; e < experts_; ++e) {
    if (!taken_[size_t(e / width)]) choice_[size_t(e)] = -std::numeric_limits<float>::infinity();
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
