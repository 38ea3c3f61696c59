// A model's shape: exactly the keys of a published Hugging Face config.json (DeepSeek V2, V2-Lite, V3, R1), same names, no mapping, and what follows
// from them by a formula. How it is read and written: model_config.h. Knows no tensors.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"

namespace finback {

// rope_scaling of type "yarn"; V2 section 3.1.4.
struct YarnConfig {
  double factor = 40;
  double original_max_position_embeddings = 4096;
  double beta_fast = 32, beta_slow = 1;
  double mscale = 1, mscale_all_dim = 0;
};

struct ModelConfig {
  std::string model_type = "deepseek_v3";
  int64_t vocab_size = 0;              // W, rows of the embedding
  int64_t hidden_size = 0;             // D
  int64_t num_hidden_layers = 0;       // L, without MTP layers
  int64_t num_attention_heads = 0;     // H
  std::optional<int64_t> q_lora_rank;  // Q; null: q_proj without compression
  int64_t kv_lora_rank = 0;            // C
  int64_t qk_nope_head_dim = 0;        // N
  int64_t qk_rope_head_dim = 0;        // R, even
  int64_t v_head_dim = 0;              // V
  int64_t intermediate_size = 0;       // width of the dense FFN
  int64_t moe_intermediate_size = 0;   // F, width of one expert
  int64_t n_routed_experts = 0;        // E; 0 or null: a dense twin
  int64_t n_shared_experts = 0;        // stored as one MLP of n_shared_experts * F
  int64_t num_experts_per_tok = 0;     // K
  int64_t first_k_dense_replace = 0;   // the first layers have a dense FFN
  int64_t moe_layer_freq = 1;
  int64_t n_group = 1, topk_group = 1;
  std::string topk_method = "noaux_tc";  // noaux_tc | group_limited_greedy | greedy
  std::string scoring_func = "sigmoid";  // sigmoid | softmax
  bool norm_topk_prob = true;
  double routed_scaling_factor = 1.0;
  int64_t num_nextn_predict_layers = 0;  // MTP modules
  double rope_theta = 10000;
  std::optional<YarnConfig> rope_scaling;  // absent: plain RoPE
  bool rope_interleave = true;
  int64_t max_position_embeddings = 4096;
  double rms_norm_eps = 1e-6;  // block norms and final norm; the latent norms always use 1e-6, as transformers does
  double initializer_range = 0.02;
  bool tie_word_embeddings = false;
  std::string torch_dtype = "float32";
  std::optional<int64_t> bos_token_id, eos_token_id;
  bool fp8_weights = false;     // quantization_config quant_method fp8 with 128x128 blocks
  Json other = Json::object();  // unknown keys, written back as they were

  // Derived, each named after its formula's letter.
  bool is_moe_layer(int64_t layer) const;  // MTP layers (layer >= L) are MoE layers when there are routed experts
  bool has_expert_bias() const { return topk_method == "noaux_tc"; }
  int64_t total_layers() const { return num_hidden_layers + num_nextn_predict_layers; }
  int64_t qk_head_dim() const { return qk_nope_head_dim + qk_rope_head_dim; }
  int64_t latent_dim() const { return kv_lora_rank + qk_rope_head_dim; }  // C + R, floats a token a layer in the cache
  // (N + R)^-0.5 * m(mscale_all_dim)^2 under YaRN; V3: 0.1352337789.
  double softmax_scale() const;
};

}  // namespace finback
