#include "infer/logit_adjustment.h"

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "base/error.h"

namespace finback {
namespace {

constexpr float kForbidden = -std::numeric_limits<float>::infinity();

bool has_penalties(const SamplingParams& params) {
  return params.repetition_penalty != 1 || params.frequency_penalty != 0 || params.presence_penalty != 0;
}

// Each token is changed once and by itself, so the order of the map does not matter.
void apply_penalties(std::span<float> logits, const SamplingParams& params, std::span<const int32_t> tokens, size_t generated) {
  std::unordered_map<int32_t, int64_t> counts;  // in the answer; 0 of a token that only the prompt has
  for (size_t i = 0; i < tokens.size(); ++i) counts[tokens[i]] += i >= tokens.size() - generated;
  const auto repetition = float(params.repetition_penalty);
  for (const auto& [id, count] : counts) {
    float& logit = logits[size_t(id)];
    logit = logit > 0 ? logit / repetition : logit * repetition;
    if (count > 0) logit -= float(double(count) * params.frequency_penalty + params.presence_penalty);
  }
}

}  // namespace

bool adjusts_logits(const Request& request, int64_t generated) {
  const SamplingParams& params = request.sampling;
  return has_penalties(params) || !params.logit_bias.empty() || generated < params.min_tokens || request.mask;
}

void adjust_logits(std::span<float> logits, const Request& request, std::span<const int32_t> tokens, int64_t generated) {
  const SamplingParams& params = request.sampling;
  for (const auto& [id, bias] : params.logit_bias) logits[size_t(id)] += float(bias);
  if (has_penalties(params)) apply_penalties(logits, params, tokens, size_t(generated));
  if (generated < params.min_tokens) {
    for (const int32_t id : request.stop_ids) logits[size_t(id)] = kForbidden;
  }
  if (request.mask) {
    std::vector<uint8_t> allowed(logits.size(), 1);
    request.mask(tokens.last(size_t(generated)), allowed);
    for (size_t id = 0; id < logits.size(); ++id) {
      if (!allowed[id]) logits[id] = kForbidden;
    }
  }
  FB_CHECK(std::any_of(logits.begin(), logits.end(), [](float logit) { return logit != kForbidden; }),
           "no token is allowed here. Hint: min_tokens or the mask forbids them all");
}

}  // namespace finback
