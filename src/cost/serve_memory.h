// Bytes of a process that serves a model, from its config. What the allocator adds is not in it.
#pragma once
#include <cstdint>

#include "kernels/precision.h"
#include "model/model_config.h"

namespace finback {

// Of a projection stored in `storage`, its scales included (kernels/stored_panels.h).
double stored_bytes_per_weight(Precision storage);
// The program, the f32 weights, which stay, the panels of those that a token multiplies (MTP modules do not run) as they are stored, and a latent cache of `cached_tokens`
// tokens in f32.
double serve_memory(const ModelConfig& config, Precision storage, int64_t cached_tokens);

}  // namespace finback
