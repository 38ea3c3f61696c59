#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/head_loss.h"
#include "kernels/token_sampling.h"

namespace finback {
namespace {

// Higher logit first, lower id first among equals: one order whatever the sort does.
struct Better {
  std::span<const float> logits;
  bool operator()(int32_t a, int32_t b) const { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; }
};

}  // namespace

std::vector<int32_t> kept_ids(std::span<const float> logits, const KeptTokens& kept) {
  std::vector<int32_t> ids;
  for (int32_t id = 0; id < int32_t(logits.size()); ++id) {
    if (kept.contains(logits[size_t(id)], id)) ids.push_back(id);
  }
  std::sort(ids.begin(), ids.end(), Better{logits});
  return ids;
}

SampledToken sample_token_ref(std::span<const float> logits, const SamplingFilters& filters, double u) {
  const Better better{logits};
  int32_t best = 0;
  for (int32_t id = 1; id < int32_t(logits.size()); ++id) {
    if (better(id, best)) best = id;
  }
  const float best_logprob = token_logprob(logits, best);
  if (filters.temperature == 0 || !std::isfinite(best_logprob)) return {best, best_logprob, {logits[best], best}};

  std::vector<int32_t> kept(logits.size());
  std::iota(kept.begin(), kept.end(), 0);
  std::sort(kept.begin(), kept.end(), better);
  if (filters.top_k > 0 && size_t(filters.top_k) < kept.size()) kept.resize(size_t(filters.top_k));

  // Weights relative to the best token at this temperature; f64, summed best first.
  std::vector<double> weight(kept.size());
  double total = 0;
  for (size_t i = 0; i < kept.size(); ++i) total += weight[i] = std::exp((double(logits[kept[i]]) - logits[best]) / filters.temperature);
  size_t keep = kept.size();
  if (filters.top_p < 1) {
    keep = 0;
    for (double reached = 0; keep < kept.size() && (keep == 0 || reached < filters.top_p * total);) reached += weight[keep++];
  }
  const double least = std::max(filters.min_p, kLeastWeight);
  while (keep > 1 && weight[keep - 1] < least) --keep;  // weight[0] is 1, so this is p / p_max

  double left = u * std::accumulate(weight.begin(), weight.begin() + int64_t(keep), 0.0);
  size_t pick = 0;
  while (pick + 1 < keep && left >= weight[pick]) left -= weight[pick++];
  const int32_t token = kept[pick];
  return {token, token_logprob(logits, token), {logits[kept[keep - 1]], kept[keep - 1]}};
}

}  // namespace finback
