#include "generate/usage.h"

#include <algorithm>

#include "base/output_place.h"
#include "base/pool.h"

namespace finback {
namespace fs = std::filesystem;

Json usage_json(const TokenUsage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.total_tokens()},
          {"prompt_cache_hit_tokens", usage.prompt_cache_hit_tokens},
          {"prompt_cache_miss_tokens", usage.prompt_cache_miss_tokens()},
          {"prompt_tokens_details", {{"cached_tokens", usage.prompt_cache_hit_tokens}}},
          {"completion_tokens_details", {{"reasoning_tokens", usage.reasoning_tokens}}}};
}

std::string miss_reason_name(MissReason reason) {
  switch (reason) {
    case MissReason::kNone:
      return "none";
    case MissReason::kFirstSeen:
      return "first_seen";
    case MissReason::kDiverged:
      return "diverged";
    case MissReason::kEvicted:
      return "evicted";
    case MissReason::kOtherWeights:
      return "other_weights";
    case MissReason::kTooShort:
      return "too_short";
  }
  FB_FAIL("an unknown reason");
}

Json receipt_json(const CacheReceipt& receipt) {
  return {
      {"memory_tokens", receipt.memory_tokens},     {"disk_tokens", receipt.disk_tokens},
      {"computed_tokens", receipt.computed_tokens}, {"bytes_read", receipt.bytes_read},
      {"seconds_saved", receipt.seconds_saved},     {"miss", {{"reason", miss_reason_name(receipt.miss.reason)}, {"at", receipt.miss.at}}}};
}

ServeUsage begin_usage(const fs::path& model_folder, const fs::path& file) {
  ServeUsage usage;
  const fs::path canonical = fs::weakly_canonical(model_folder);
  usage.model = (canonical.has_filename() ? canonical : canonical.parent_path()).string();  // "runs/x/" is runs/x
  usage.devices = std::min(threads(), available_cores());
  if (!file.empty()) check_file_place(file);
  if (file.empty() || !fs::is_regular_file(file)) return usage;
  ServeUsage before = read_usage(file);
  add_usage(before, usage);
  return usage;
}

void count_answer(ServeUsage& sum, const TokenUsage& answer, double prefill_seconds, double decode_seconds) {
  ++sum.requests;
  sum.hit_tokens += answer.prompt_cache_hit_tokens;
  sum.missed_tokens += answer.prompt_cache_miss_tokens();
  sum.output_tokens += answer.completion_tokens;
  sum.prefill_seconds += prefill_seconds, sum.decode_seconds += decode_seconds;
}

}  // namespace finback
