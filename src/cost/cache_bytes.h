// Bytes of the KV cache, the one count of server, planner and `finback inspect`: C + R values a token and layer for MLA's latent cache (V3 in bf16: 70,272 bytes
// a token), keys and values of every key-value head otherwise.
#pragma once
#include <cstdint>

#include "cost/model_shape.h"

namespace finback {

// with_mtp: the layers of MTP modules too, and for each its part of the hidden state that a page of 64 tokens keeps (KvCache::last_hidden_XKD), rounded up.
int64_t cache_bytes_per_token(const ModelShape& shape, int64_t bytes_per_value, bool with_mtp);

}  // namespace finback
