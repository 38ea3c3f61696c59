// Prompts of a serving trace as chains of blocks, and what a prefix cache that evicts the least recently used block would have found of them, at every size
// at once. Knows no bytes, prices or models.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace finback {

// Equal numbers mean equal prefixes up to and including that block, so a block can be found only behind all before it. A prompt's last, partly filled block
// is not cached.
struct CacheTrace {
  int64_t block_tokens = 0, prompt_tokens = 0, output_tokens = 0;
  int64_t distinct_blocks = 0;                 // numbers are 0 .. distinct_blocks - 1
  std::vector<std::vector<int32_t>> requests;  // in order of time
};

// One JSON object a line, in order of time ("timestamp" is optional). Either Mooncake's open format, {"input_length": 6755, "output_length": 500,
// "hash_ids": [0, 1, ...]}, an id for each 512 tokens, or {"tokens": [...], "output_length": 500}, cut into blocks of 64. Throws Error that names the line.
CacheTrace parse_cache_trace(std::string_view text, const std::string& what);

struct HitCurve {
  std::vector<int64_t> found;  // [C]: blocks found by a cache of C blocks; C from 0 to all distinct ones
  int64_t at(int64_t cache_blocks) const;
};
// A request looks up its blocks when it arrives and is then used from its last block to its first, so that ends of prompts are evicted before their
// beginnings. Mattson's stack distances (1970) with a Fenwick tree: O(accesses * log accesses) for all sizes.
HitCurve replay_trace(const CacheTrace& trace);

}  // namespace finback
