// Logits -> one id. Pure functions: the draw is Philox keyed by (key, position), so the same request gives the same tokens in any batch.
// The arithmetic is kernels/token_sampling.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "infer/request.h"
#include "kernels/token_sampling.h"

namespace finback {

// logits: [W] f32, adjusted or not. position: index of the new token in its sequence. The kept set of a row is kept_ids(logits, result.kept), the
// log-prob is that under `logits`. Throws Error where the logits are not finite (-inf, a forbidden id, is).
SampledToken sample(std::span<const float> logits, const SamplingParams& params, const SampleKey& key, int64_t position);

// The `count` best ids of a row, best first (the lower id among equals), with the bits of kernels/head_loss : token_logprob.
std::vector<TokenLogprob> top_logprobs(std::span<const float> logits_W, int64_t count);

}  // namespace finback
