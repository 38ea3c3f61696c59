// Replays a trace of prompts (plan/cache_trace.h) through an engine with both tiers of the prefix cache, beside what the planner's replay says of caches
// of the same sizes. Random weights and made-up tokens: what is found depends on neither. Figures for `finback bench cache`.
#pragma once
#include <cstdint>

#include "base/json.h"
#include "model/model_config.h"
#include "plan/cache_trace.h"

namespace finback {

struct CacheBench {
  int64_t scale = 8;          // a block of the trace is cut to 1 / scale of its tokens: whole pages must be left
  int64_t memory_blocks = 0;  // of the KV cache; 0: a quarter of the trace's different blocks
  int64_t disk_blocks = 0;    // of the folder; 0: half of them
};
// {"requests", "blocks", "distinct_blocks", "block_tokens", "tiers": [{"tier", "blocks", "hit", "predicted_hit"}], "prefill_tokens_per_s", ...}: hits are
// shares of the trace's full blocks; of the disk's row, those that any tier found. Throws Error for a scale that leaves no whole pages, and for a cache
// that holds no request.
Json bench_cache(const ModelConfig& config, const CacheTrace& trace, CacheBench options);

}  // namespace finback
