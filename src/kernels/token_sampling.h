// Logits -> one token: temperature, top_k, top_p, min_p, then a draw by a given number u. The reference (_ref) sorts the whole row; the op finds
// the same token and the same kept set without sorting, and falls back to the reference where rounding could decide. Knows no keys, no requests.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace finback {

// A probability below this share of the best token's is none (u has 53 bits): such tokens are never kept.
inline constexpr double kLeastWeight = 1e-300;

// In this order, as transformers. The best token is always kept.
struct SamplingFilters {
  double temperature = 1.0;  // 0: greedy
  int64_t top_k = 0;         // 0: off
  double top_p = 1.0;        // smallest set whose probability reaches top_p; 1: off
  double min_p = 0.0;        // keep tokens with p >= min_p * p_max
};

// The tokens that could have been drawn: a prefix of the row sorted best first (higher logit, among equals the lower id).
struct KeptTokens {
  float lowest = 0;  // logits above it are kept, those equal to it up to id `last`
  int32_t last = INT32_MAX;
  bool contains(float logit, int32_t id) const { return logit > lowest || (logit == lowest && id <= last); }
};
// Their ids, best first.
std::vector<int32_t> kept_ids(std::span<const float> logits_W, const KeptTokens& kept);

struct SampledToken {
  int32_t token = 0;
  float logprob =
      0;  // under softmax(logits), whatever the filters; bits of kernels/head_loss. Not finite when the logits are no distribution
  KeptTokens kept;
};
// u in [0, 1): the token at u of the kept probability, best first. Temperature 0: the best one. One thread.
// REQUIRES: a row; temperature >= 0, top_k >= 0, 0 < top_p <= 1, 0 <= min_p <= 1.
SampledToken sample_token(std::span<const float> logits_W, const SamplingFilters& filters, double u);
// The path without sorting: nothing where rounding could decide, or a temperature lies beyond what it can do.
// REQUIRES: a finite softmax; temperature > 0; not variant ref.
std::optional<SampledToken> sample_without_sorting(std::span<const float> logits_W, const SamplingFilters& filters, double u);
SampledToken sample_token_ref(std::span<const float> logits_W, const SamplingFilters& filters, double u);

}  // namespace finback
