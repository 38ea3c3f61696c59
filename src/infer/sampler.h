// Logits -> one id. Pure functions: the draw is Philox keyed by (seed, position), so the same request gives the same tokens in any batch.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "infer/request.h"

namespace finback {

struct Sampled {
  int32_t token = 0;
  float logprob = 0;          // under softmax(logits), whatever the sampling parameters; bits of kernels/head_loss
  std::vector<int32_t> kept;  // tokens that could have been drawn, best first; just the token itself when greedy
};
// logits: [W] f32. position: index of the new token in its sequence. Order of cuts: temperature, top_k, top_p, min_p (as transformers).
Sampled sample(std::span<const float> logits, const SamplingParams& params, int64_t position);

}  // namespace finback
