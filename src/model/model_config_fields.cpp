#include "model/model_config_fields.h"

#include <cmath>

namespace finback {

bool ModelConfig::is_moe_layer(int64_t layer) const {
  return n_routed_experts > 0 && (layer >= num_hidden_layers || layer >= first_k_dense_replace);
}

double ModelConfig::softmax_scale() const {
  const double scale = 1 / std::sqrt(double(qk_head_dim()));
  if (!rope_scaling || rope_scaling->factor <= 1) return scale;
  const double m = 0.1 * rope_scaling->mscale_all_dim * std::log(rope_scaling->factor) + 1;  // V2 section 3.1.4
  return scale * m * m;
}

}  // namespace finback
