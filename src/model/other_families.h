// Transformers that are counted and not computed (finback inspect): what the code of each has that no key of its config.json tells.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace finback {

struct OtherFamily {
  std::string model_type;
  bool mla = false;                         // latent attention under DeepSeek's keys; without: attention with num_key_value_heads
  bool q_k_v_bias = false;                  // unless the next key says otherwise
  std::string bias_key = "attention_bias";  // empty: the code reads none, whatever a file says
  bool reads_mlp_bias = false;
  bool o_bias = true;         // attention_bias means the output projection too
  bool q_k_norm = false;      // RMSNorm weights of a head's query and of its key
  bool router_bias = false;   // e_score_correction_bias
  bool gated_shared = false;  // the shared expert has a gate, hidden_size numbers
  int64_t head_dim = 0;       // when absent; 0: hidden_size / num_attention_heads
  int64_t dense_first = 0;    // first_k_dense_replace when absent
  int64_t shared_width = 0;   // shared_expert_intermediate_size when absent
};
// Families that were compared with transformers 5.23, tensor by tensor (tools/parity_config).
const std::vector<OtherFamily>& other_families();

}  // namespace finback
