// Prompts of a serving trace as chains of blocks, as a prefix cache sees them. Knows no bytes, prices or models.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace finback {

// Equal numbers mean equal prefixes up to and including that block, so a cache holds a block of use only where it holds all before it. A prompt's last, partly filled block
// is not cached.
struct CacheTrace {
  int64_t block_tokens = 0, prompt_tokens = 0, output_tokens = 0;
  int64_t distinct_blocks = 0;                 // numbers are 0 .. distinct_blocks - 1
  std::vector<std::vector<int32_t>> requests;  // in order of time
};

// One JSON object a line, in order of time ("timestamp" is optional). Either Mooncake's open format, {"input_length": 6755, "output_length": 500,
// "hash_ids": [0, 1, ...]}, an id for each 512 tokens, or {"tokens": [...], "output_length": 500}, cut into blocks of 64. Throws Error that names the line.
CacheTrace parse_cache_trace(std::string_view text, const std::string& what);

}  // namespace finback
