// Parameters of a model by part, from its config alone: total, and active (what one token multiplies).  Spec section 1.2's formulas.
// V3: 671,026,419,200 total without MTP; 36,625,618,432 active without the embedding table, head included. No tensors.
#pragma once
#include <cstdint>

#include "model/model_config.h"

namespace finback {

struct ModelSize {
  int64_t embedding = 0, head = 0;  // head is 0 when tied (the matrix is counted as embedding)
  int64_t attention = 0;            // all layers, latent norms included
  int64_t dense_ffn = 0;
  int64_t routed_experts = 0, shared_experts = 0, router = 0;  // router: gate weights and expert biases
  int64_t norms = 0;                                           // block norms and the final norm
  int64_t mtp = 0;                                             // unique parameters of all MTP modules
  int64_t active_routed = 0;                                   // K of E experts
  int64_t total_without_mtp() const { return embedding + head + attention + dense_ffn + routed_experts + shared_experts + router + norms; }
  int64_t total() const { return total_without_mtp() + mtp; }
  // A token's parameters: no embedding table (a lookup), head included; MTP apart.
  int64_t active() const;
  int64_t tied_head = 0;  // the head's size when tied: active() counts it
};
ModelSize model_size(const ModelConfig& config);

}  // namespace finback
