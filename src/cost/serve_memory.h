// Bytes of a process that serves a model, from its config; stored weights as the selected kernel variant lays them out (panel_bytes.h). What the allocator adds is
// not in it.
#pragma once
#include <cstdint>

#include "gemm/precision.h"
#include "model/model_config.h"

namespace finback {

// The program, the f32 weights, which stay, the packed copies of those that a token multiplies as they are stored, and a latent cache of `cached_tokens` tokens in
// f32.
double serve_memory(const ModelConfig& config, Precision storage, int64_t cached_tokens);

}  // namespace finback
