// Bytes of a process that trains or serves a model, part by part, from its config: what `inspect` prints and what `train` and `generate` refuse by before
// they take the memory. The counts are train_memory.h's and serve_memory.h's; what the allocator adds is not in them.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "gemm/precision.h"
#include "model/model_config.h"

namespace finback {

struct MemoryUse {
  bool trains = false;                    // else it serves
  Precision precision = Precision::kF32;  // of the linears (train.precision), or of the stored weights
  int64_t tokens = 0;                     // of a micro-batch, or in the cache
  bool drafts = false;                    // serving: the MTP modules run, so their matrices are packed and their latents are cached
};
struct MemoryPart {
  std::string name;
  double bytes = 0;
};
std::vector<MemoryPart> memory_parts(const ModelConfig& config, const MemoryUse& use);
double total_bytes(const std::vector<MemoryPart>& parts);

// Throws Error when the parts are more than `free_bytes`; `limit` names what sets that, `hint` what to change. The largest parts are named.
void check_memory(const std::vector<MemoryPart>& parts, double free_bytes, const std::string& limit, const std::string& hint);

}  // namespace finback
