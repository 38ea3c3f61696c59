#include "infer/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "base/error.h"
#include "base/rng.h"
#include "kernels/head_loss.h"

namespace finback {
namespace {

constexpr size_t kMostBiases = 1024;  // a list as long as a vocab would cost more than the row it changes

void check_logit_bias(const std::vector<std::pair<int32_t, double>>& logit_bias) {
  FB_CHECK(logit_bias.size() <= kMostBiases, "logit_bias: expected at most {} ids, got {}", kMostBiases, logit_bias.size());
  std::set<int32_t> ids;
  for (const auto& [id, bias] : logit_bias) {
    FB_CHECK(bias >= -100 && bias <= 100, "logit_bias: expected -100 to 100, got {} for id {}", bias, id);
    FB_CHECK(ids.insert(id).second, "logit_bias: expected each id once, got {} again", id);
  }
}

}  // namespace

void check_sampling(const SamplingParams& p) {
  FB_CHECK(p.temperature >= 0 && std::isfinite(p.temperature), "temperature: expected 0 or more, got {}", p.temperature);
  FB_CHECK(p.top_k >= 0, "top_k: expected 0 (off) or more, got {}", p.top_k);
  FB_CHECK(p.top_p > 0 && p.top_p <= 1, "top_p: expected more than 0, at most 1, got {}", p.top_p);
  FB_CHECK(p.min_p >= 0 && p.min_p <= 1, "min_p: expected 0 to 1, got {}", p.min_p);
  FB_CHECK(p.repetition_penalty > 0 && p.repetition_penalty <= 100, "repetition_penalty: expected more than 0, at most 100, got {}",
           p.repetition_penalty);
  FB_CHECK(std::abs(p.frequency_penalty) <= 2, "frequency_penalty: expected -2 to 2, got {}", p.frequency_penalty);
  FB_CHECK(std::abs(p.presence_penalty) <= 2, "presence_penalty: expected -2 to 2, got {}", p.presence_penalty);
  FB_CHECK(p.min_tokens >= 0, "min_tokens: expected 0 or more, got {}", p.min_tokens);
  check_logit_bias(p.logit_bias);
}

SampledToken sample(std::span<const float> logits, const SamplingParams& params, const SampleKey& key, int64_t position) {
  const auto words = philox(Stream::kSample, key.seed, uint64_t(position), key.a, key.b);
  const SamplingFilters filters = {params.temperature, params.top_k, params.top_p, params.min_p};
  const SampledToken sampled = sample_token(logits, filters, uniform01_double(words[0], words[1]));
  FB_CHECK(std::isfinite(sampled.logprob), "the model's logits are not finite. Hint: the checkpoint may be damaged or diverged");
  return sampled;
}

std::vector<TokenLogprob> top_logprobs(std::span<const float> logits, int64_t count) {
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto better = [&](int32_t a, int32_t b) {
    return logits[size_t(a)] != logits[size_t(b)] ? logits[size_t(a)] > logits[size_t(b)] : a < b;
  };
  const auto end = ids.begin() + std::min<ptrdiff_t>(count, ptrdiff_t(ids.size()));
  std::partial_sort(ids.begin(), end, ids.end(), better);
  std::vector<TokenLogprob> top;
  for (auto id = ids.begin(); id != end; ++id) top.push_back({*id, token_logprob(logits, *id)});
  return top;
}

}  // namespace finback
