// Serving and reinforcement learning as rooflines of the same model: prefill from the layers' forward time, decoding from bytes of weights and cache,
// arithmetic and expert exchange a step, at the batch that memory and a wanted speed allow.
#pragma once
#include "base/json.h"
#include "cost/prices.h"
#include "plan/step_time.h"

namespace finback {

struct ServeRequest {
  TrainSetup setup;                      // shape, accelerator, number of them in one group, precision, date
  double weight_bytes = 1;               // of a stored parameter
  double context = 4096, output = 1024;  // tokens of a request's prompt and of its answer
  double hit = 0;                        // share of prompt tokens found in the cache
  double least_speed = 20;               // tokens/s that every request has to get
  double load = 0.7;                     // share of the capacity that is sold
  Price price;
};
struct ServePlan {
  double batch = 0;                                                             // requests an accelerator decodes at once
  double decode_step_s = 0, decode_tokens_per_s = 0, prefill_tokens_per_s = 0;  // of one accelerator, at full load
  double cache_bytes_per_token = 0, weight_bytes = 0;
  double usd_per_m_hit = 0, usd_per_m_miss = 0, usd_per_m_output = 0;
};
// Throws Error when the weights do not fit.
ServePlan plan_serving(const ServeRequest& request, const CostParameters& parameters);

struct RlPlan {
  double sampling_hours = 0, training_hours = 0, scoring_hours = 0;
  double total() const { return sampling_hours + training_hours + scoring_hours; }
};
// `sampled` tokens are decoded, scored by `scorers` forward passes (old policy, reference) and trained on once; waiting for the longest answer of a
// batch leaves `busy` of the decoding rate.
RlPlan plan_rl(const ServeRequest& request, double sampled, double train_tokens_per_s, double scorers, double busy,
               const CostParameters& parameters);

// The plan with two scorers and half of the decoding rate, as `finback plan --rl` reports it: priced by the request, with the interval of campaigns.
Json rl_json(const ServeRequest& request, double sampled, double train_tokens_per_s, const CostParameters& parameters);
// `rl` into a report of training (plan_json), whose total gains the hours and dollars with it.
void add_rl(Json& report, const Json& rl);
// The lines of a report's `rl` and of its total with it.
std::string rl_text(const Json& report, const Price& price);

Json serve_json(const ServeRequest& request, const ServePlan& plan);
std::string serve_text(const ServeRequest& request, const ServePlan& plan);

}  // namespace finback
