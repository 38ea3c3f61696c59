// Bytes of a process that serves a model, from its config; stored weights as the selected kernel variant lays them out (panel_bytes.h). What the allocator adds is
// not in it.
#pragma once
#include <cstdint>

#include "gemm/precision.h"
#include "model/model_config.h"

namespace finback {

// The program; in f32 the weights and the packed copies of those that a token multiplies, in another storage these alone, as they are stored, and the rest of
// the main model in f32; a latent cache of `cached_tokens` tokens in f32. drafts: the same of the MTP modules.
double serve_memory(const ModelConfig& config, Precision storage, int64_t cached_tokens, bool drafts = false);

}  // namespace finback
