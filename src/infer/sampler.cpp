#include "infer/sampler.h"

#include <cmath>

#include "base/error.h"
#include "base/rng.h"

namespace finback {

void check_sampling(const SamplingParams& p) {
  FB_CHECK(p.temperature >= 0 && std::isfinite(p.temperature), "temperature: expected 0 or more, got {}", p.temperature);
  FB_CHECK(p.top_k >= 0, "top_k: expected 0 (off) or more, got {}", p.top_k);
  FB_CHECK(p.top_p > 0 && p.top_p <= 1, "top_p: expected more than 0, at most 1, got {}", p.top_p);
  FB_CHECK(p.min_p >= 0 && p.min_p <= 1, "min_p: expected 0 to 1, got {}", p.min_p);
}

SampledToken sample(std::span<const float> logits, const SamplingParams& params, int64_t position) {
  const auto words = philox(Stream::kSample, params.seed, uint64_t(position));
  const SamplingFilters filters = {params.temperature, params.top_k, params.top_p, params.min_p};
  const SampledToken sampled = sample_token(logits, filters, uniform01_double(words[0], words[1]));
  FB_CHECK(std::isfinite(sampled.logprob), "the model's logits are not finite. Hint: the checkpoint may be damaged or diverged");
  return sampled;
}

}  // namespace finback
