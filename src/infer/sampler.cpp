#include "infer/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/rng.h"
#include "kernels/head_loss.h"

namespace finback {
namespace {

// Higher logit first, lower id first among equals: one order whatever the sort does.
struct Better {
  std::span<const float> logits;
  bool operator()(int32_t a, int32_t b) const { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; }
};

}  // namespace

void check_sampling(const SamplingParams& p) {
  FB_CHECK(p.temperature >= 0 && std::isfinite(p.temperature), "temperature: expected 0 or more, got {}", p.temperature);
  FB_CHECK(p.top_k >= 0, "top_k: expected 0 (off) or more, got {}", p.top_k);
  FB_CHECK(p.top_p > 0 && p.top_p <= 1, "top_p: expected more than 0, at most 1, got {}", p.top_p);
  FB_CHECK(p.min_p >= 0 && p.min_p <= 1, "min_p: expected 0 to 1, got {}", p.min_p);
}

Sampled sample(std::span<const float> logits, const SamplingParams& params, int64_t position) {
  const Better better{logits};
  int32_t best = 0;
  for (int32_t id = 1; id < int32_t(logits.size()); ++id) {
    if (better(id, best)) best = id;
  }
  const float best_logprob = token_logprob(logits, best);
  FB_CHECK(std::isfinite(best_logprob), "the model's logits are not finite. Hint: the checkpoint may be damaged or diverged");
  if (params.temperature == 0) return {best, best_logprob, {best}};

  std::vector<int32_t> kept(logits.size());
  std::iota(kept.begin(), kept.end(), 0);
  size_t count = kept.size();
  if (params.top_k > 0) count = std::min(count, size_t(params.top_k));
  if (count == kept.size()) {
    std::sort(kept.begin(), kept.end(), better);  // a full partial_sort is a heap sort, which is slower
  } else {
    std::partial_sort(kept.begin(), kept.begin() + int64_t(count), kept.end(), better);
  }
  kept.resize(count);

  // Weights relative to the best token at this temperature; f64, summed best first.
  std::vector<double> weight(kept.size());
  double total = 0;
  for (size_t i = 0; i < kept.size(); ++i) total += weight[i] = std::exp((double(logits[kept[i]]) - logits[best]) / params.temperature);
  double reached = 0;
  size_t keep = 0;
  while (keep < kept.size() && (keep == 0 || reached < params.top_p * total)) reached += weight[keep++];
  while (keep > 1 && weight[keep - 1] < params.min_p) --keep;  // weight[0] is 1, so this is p / p_max
  kept.resize(keep);

  const double drawn_total = std::accumulate(weight.begin(), weight.begin() + int64_t(keep), 0.0);
  const auto words = philox(Stream::kSample, params.seed, uint64_t(position));
  double left = uniform01_double(words[0], words[1]) * drawn_total;
  size_t pick = 0;
  while (pick + 1 < keep && left >= weight[pick]) left -= weight[pick++];
  const int32_t token = kept[pick];
  return {token, token_logprob(logits, token), std::move(kept)};
}

}  // namespace finback
