// What a request changes in the model's logits before a token is drawn: bias, penalties, forbidden ids. Pure functions of the request and its
// tokens, so a recomputed sequence draws the same again. Knows no temperature: filters and draw are kernels/token_sampling.
#pragma once
#include <cstdint>
#include <span>

#include "infer/request.h"

namespace finback {

// Whether adjust_logits would change anything for a sequence with so many new tokens.
bool adjusts_logits(const Request& request, int64_t generated);
// In place. tokens: prompt and new tokens, the last `generated` of them are new. An id that cannot come has the logit -inf. Throws Error when
// none is left, and what the mask throws.
void adjust_logits(std::span<float> logits_W, const Request& request, std::span<const int32_t> tokens, int64_t generated);

}  // namespace finback
