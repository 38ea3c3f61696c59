// What a prefix cache that evicts the least recently used block would have found of a trace's prompts, at every size of the cache at once. Knows no bytes,
// prices or models.
#pragma once
#include "plan/cache_trace.h"

namespace finback {

struct HitCurve {
  std::vector<int64_t> found;  // [C]: blocks found by a cache of C blocks; C from 0 to all distinct ones
  int64_t at(int64_t cache_blocks) const;
};
// A request looks up its blocks when it arrives and is then used from its last block to its first, so that ends of prompts are evicted before their
// beginnings. Mattson's stack distances (1970) with a Fenwick tree: O(accesses * log accesses) for all sizes.
HitCurve replay_trace(const CacheTrace& trace);

}  // namespace finback
