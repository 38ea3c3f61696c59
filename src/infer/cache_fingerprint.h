// What the latents of a page were computed with, in 128 bits: pages on the disk are found under the same one only. The content of weights, not their
// names, sizes or times, so weights that were replaced in place are others. Knows no files.
#pragma once
#include <string>

#include "infer/cache_key.h"
#include "model/kv_cache.h"
#include "model/transformer.h"

namespace finback {

// Raised by whoever changes the bits of latents in a kernel variant that keeps its name (CONTRIBUTING.md): a page of the program before is a miss then.
inline constexpr int kLatentArithmetic = 1;

// weights: Transformer::fingerprint() of the model as it is, codes of stored weights included. To it come every key of config.json that the model knows,
// in how many bits each matrix is read, the kernel variant and device, the cache's layout and type, and kLatentArithmetic.
CacheKey cache_fingerprint(Transformer& model, const KvCache& cache, const std::string& weights);

}  // namespace finback
