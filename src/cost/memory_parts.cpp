#include "cost/memory_parts.h"

#include <algorithm>

#include "base/error.h"
#include "base/timer.h"
#include "cost/cache_bytes.h"
#include "cost/panel_bytes.h"
#include "cost/parameter_count.h"
#include "cost/train_memory.h"

namespace finback {

std::vector<MemoryPart> memory_parts(const ModelConfig& config, const MemoryUse& use) {
  if (use.trains) {
    const TrainMemory m = train_memory(config, use.tokens, use.precision);
    return {{"weights", m.weights},         {"gradients", m.gradients}, {"optimizer", m.optimizer}, {"packed_weights", m.packed_weights},
            {"activations", m.activations}, {"working", m.working},     {"program", kProgramBytes}};
  }
  const ModelShape shape = shape_of(config);
  return {{"weights", 4 * double(count_parameters(shape).total_with_mtp())},
          {"packed_weights", double(stored_weight_bytes(shape, use.precision))},
          {"cache", double(use.tokens) * double(cache_bytes_per_token(shape, 4, /*with_mtp=*/true))},
          {"program", kProgramBytes}};
}

double total_bytes(const std::vector<MemoryPart>& parts) {
  double bytes = 0;
  for (const MemoryPart& part : parts) bytes += part.bytes;
  return bytes;
}

void check_memory(const std::vector<MemoryPart>& parts, double free_bytes, const std::string& limit, const std::string& hint) {
  if (total_bytes(parts) <= free_bytes) return;
  std::vector<MemoryPart> sorted = parts;
  std::stable_sort(sorted.begin(), sorted.end(), [](const MemoryPart& a, const MemoryPart& b) { return a.bytes > b.bytes; });
  std::string largest;
  for (size_t i = 0; i < std::min<size_t>(4, sorted.size()); ++i)
    largest += fmt::format("{}{} {}", i ? ", " : "", sorted[i].name, human_bytes(sorted[i].bytes));
  FB_FAIL("memory: expected at most {} ({}), got a need of {}: {}. Hint: {}", human_bytes(std::max(0.0, free_bytes)), limit,
          human_bytes(total_bytes(parts)), largest, hint);
}

}  // namespace finback
