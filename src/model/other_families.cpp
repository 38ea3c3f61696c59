#include "model/other_families.h"

namespace finback {

const std::vector<OtherFamily>& other_families() {
  static const std::vector<OtherFamily> families = {
      {.model_type = "deepseek"},
      {.model_type = "deepseek_v32", .mla = true, .router_bias = true, .dense_first = 3},
      {.model_type = "glm_moe_dsa", .mla = true, .router_bias = true, .dense_first = 3},
      {.model_type = "glm4_moe_lite", .mla = true, .router_bias = true, .dense_first = 1},
      {.model_type = "glm4_moe", .o_bias = false, .router_bias = true, .dense_first = 1},
      {.model_type = "llama", .reads_mlp_bias = true},
      {.model_type = "mistral", .bias_key = ""},
      {.model_type = "mixtral", .bias_key = ""},
      {.model_type = "qwen2", .q_k_v_bias = true, .bias_key = "", .o_bias = false},
      {.model_type = "qwen2_moe", .q_k_v_bias = true, .bias_key = "qkv_bias", .o_bias = false, .gated_shared = true, .shared_width = 5632},
      {.model_type = "qwen3", .q_k_norm = true, .head_dim = 128},
      {.model_type = "qwen3_moe", .q_k_norm = true},
  };
  return families;
}

}  // namespace finback
