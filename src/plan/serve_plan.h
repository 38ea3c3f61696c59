// Serving as a roofline of the planner's model: prefill from the layers' forward time; decoding from the bytes of weights and KV cache, the arithmetic and the
// expert exchange of a step, at the batch that memory and a wanted speed allow. No queueing.
#pragma once
#include "base/json.h"
#include "cost/prices.h"
#include "plan/cost_parameters.h"
#include "plan/train_setup.h"

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
  double usd_per_m_hit = 0, usd_per_m_miss = 0, usd_per_m_output = 0;  // a million tokens
  double usd_per_m_input = 0;                                          // hits and misses at the request's shares
};
// Throws Error when the weights do not fit.
ServePlan plan_serving(const ServeRequest& request, const CostParameters& parameters);

Json serve_json(const ServeRequest& request, const ServePlan& plan);
std::string serve_text(const ServeRequest& request, const ServePlan& plan);

}  // namespace finback
