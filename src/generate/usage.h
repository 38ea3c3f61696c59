// What answers used: the counts that an API reports of one answer, and the counters that a process keeps for its bill (cost/serve_bill.h).
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include "base/json.h"
#include "cost/serve_usage.h"
#include "infer/request.h"

namespace finback {

// Tokens of one answer. Every token that was computed or found counts: special ones, a stop id, those of a stop string.
struct TokenUsage {
  int64_t prompt_tokens = 0, completion_tokens = 0;
  int64_t prompt_cache_hit_tokens = 0;  // of the prompt: their latents were found, not computed
  int64_t reasoning_tokens = 0;         // of the completion: from <think> to </think>, both included
  int64_t total_tokens() const { return prompt_tokens + completion_tokens; }
  int64_t prompt_cache_miss_tokens() const { return prompt_tokens - prompt_cache_hit_tokens; }
};
// OpenAI's and DeepSeek's names: prompt_tokens, completion_tokens, total_tokens, prompt_cache_hit_tokens, prompt_cache_miss_tokens,
// prompt_tokens_details.cached_tokens, completion_tokens_details.reasoning_tokens.
Json usage_json(const TokenUsage& usage);

// {"memory_tokens", "disk_tokens", "computed_tokens", "bytes_read", "seconds_saved", "miss": {"reason", "at"}}.
Json receipt_json(const CacheReceipt& receipt);
// "none", "first_seen", "diverged", "evicted", "other_weights" or "too_short".
std::string miss_reason_name(MissReason reason);

// Counters of a process that serves the model in this folder on this machine's cores, all 0; add_to_usage_file adds them to `file` at the end. Throws
// Error for a file of another model or machine, and for one that could not be written then. An empty path: no file.
ServeUsage begin_usage(const std::filesystem::path& model_folder, const std::filesystem::path& file);
// Adds one answer and the engine's seconds for it.
void count_answer(ServeUsage& sum, const TokenUsage& answer, double prefill_seconds, double decode_seconds);

}  // namespace finback
