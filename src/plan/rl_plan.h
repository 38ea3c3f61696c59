// Reinforcement learning as a roofline of the same model: tokens are sampled (decoded), scored by forward passes and trained on once. Not fitted to runs.
#pragma once
#include "plan/interval.h"
#include "plan/serve_plan.h"

namespace finback {

struct RlRequest {
  ServeRequest serving;  // how tokens are sampled, and the price of an hour
  double sampled_tokens = 0;
  double train_tokens_per_s = 0;  // of one accelerator
  double scorers = 2;             // forward passes over each token: old policy and reference
  double busy = 0.5;              // of the decoding rate, what waiting for the longest answer of a batch leaves
};

// In accelerator-hours; the interval is that of campaigns.
struct RlPlan {
  double sampled_tokens = 0;
  double sampling_hours = 0, scoring_hours = 0, training_hours = 0;
  Interval hours;
  Price price;
  double usd = 0;  // 0: no price
};
// Throws Error when the weights do not fit.
RlPlan plan_rl(const RlRequest& request, const CostParameters& parameters);

Json rl_json(const RlPlan& plan);
std::string rl_text(const RlPlan& plan);

}  // namespace finback
