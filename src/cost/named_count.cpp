#include "cost/named_count.h"

namespace finback {

std::vector<NamedCount> named_counts(const ParameterCount& p) {
  return {{"embedding", p.embedding},
          {"head", p.stored_head()},
          {"attention", p.layers.attention + p.layers.latent_norms},
          {"dense_ffn", p.layers.dense_ffn},
          {"routed_experts", p.layers.routed_experts},
          {"shared_experts", p.layers.shared_experts},
          {"router", p.layers.router + p.layers.expert_bias},
          {"norms", p.layers.norms},
          {"mtp_modules", p.mtp.total()}};
}

}  // namespace finback
