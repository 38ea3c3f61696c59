#include "model/other_families.h"

namespace finback {

const std::vector<OtherFamily>& other_families() {
  static const std::vector<OtherFamily> families = {
      {.model_type = "deepseek"},
      {.model_type = "deepseek_v32", .mla = true, .router_bias = true, .dense_first = 3},
      {.model_type = "glm_moe_dsa", .mla = true, .router_bias = true, .dense_first = 3},
      {.model_type = "glm4_moe_lite", .mla = true, .router_bias = true, .dense_first = 1},
      {.model_type = "glm4_moe", .o_bias = false, .router_bias = true, .dense_first = 1},
      {.model_type = "llama"},
      {.model_type = "mistral"},
      {.model_type = "mixtral"},
      {.model_type = "qwen2", .q_k_v_bias = true, .o_bias = false},
      {.model_type = "qwen2_moe", .q_k_v_bias = true, .o_bias = false, .gated_shared = true},
      {.model_type = "qwen3", .q_k_norm = true, .head_dim = 128},
      {.model_type = "qwen3_moe", .q_k_norm = true},
  };
  return families;
}

}  // namespace finback
