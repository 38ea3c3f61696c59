// The parts of a parameter count under the names that reports give them.
#pragma once
#include <vector>

#include "cost/parameter_count.h"

namespace finback {

struct NamedCount {
  const char* name;
  int64_t count;
};
// embedding, head, attention (latent norms included), dense_ffn, routed_experts, shared_experts, router (its bias included), norms, and last mtp_modules,
// which no total includes.
std::vector<NamedCount> named_counts(const ParameterCount& count);

}  // namespace finback
