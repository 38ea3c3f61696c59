#include "cost/serve_memory.h"

#include "cost/memory_parts.h"

namespace finback {

double serve_memory(const ModelConfig& c, Precision storage, int64_t cached_tokens, bool drafts) {
  return total_bytes(memory_parts(c, {.trains = false, .precision = storage, .tokens = cached_tokens, .drafts = drafts}));
}

}  // namespace finback
