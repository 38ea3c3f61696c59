// Logits -> one id. Pure functions: the draw is Philox keyed by (seed, position), so the same request gives the same tokens in any batch.
// The arithmetic is kernels/token_sampling.
#pragma once
#include <cstdint>
#include <span>

#include "infer/request.h"
#include "kernels/token_sampling.h"

namespace finback {

// logits: [W] f32. position: index of the new token in its sequence. The kept set of a row is kept_ids(logits, result.kept). Throws Error
// where the logits are not finite.
SampledToken sample(std::span<const float> logits, const SamplingParams& params, int64_t position);

}  // namespace finback
