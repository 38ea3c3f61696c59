// The SIMD code, compiled per instruction set, of token_sampling: loops over a row of logits in any order. Knows no filters and no threads.
#pragma once
#include <cstdint>

namespace finback {

// A token's weight: exp((logit - best) * inverse_temperature); logits below `lowest` count as `lowest`.  REQUIRES: no exponent below -700.
struct TokenWeights {
  double best, inverse_temperature;
  float lowest;
};

inline constexpr int64_t kPivots = 5, kFewPivots = 2;

struct TokenSamplingLoops {
  // The weight of all of logits[w], within 2e-12 of it; above[i]: of those above pivots[i], as exact. Exactly 1 a token at inverse temperature 0.
  double (*weigh)(int64_t w, const float* logits, const TokenWeights& weights, const float* pivots, double* above);
  // The same with kFewPivots.
  double (*weigh_few)(int64_t w, const float* logits, const TokenWeights& weights, const float* pivots, double* above);
  // The sum in f64 of exps[w] of the logits up to `highest`.
  double (*sum_below)(int64_t w, const float* logits, const float* exps, float highest);
  // Writes the logits in (low, high] in their order and returns their number. `out` has room for w + 16 and may be `logits` itself.
  int64_t (*gather)(int64_t w, const float* logits, float low, float high, float* out);
  // Index of the rank-th (from 1) logit that equals `value`, -1 when there are fewer.
  int64_t (*find)(int64_t w, const float* logits, float value, int64_t rank);
};
const TokenSamplingLoops& token_sampling_loops();

}  // namespace finback
