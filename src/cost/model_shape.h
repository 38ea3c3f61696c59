// The shape of a transformer as cost sees it: dense and mixture-of-experts models with MHA, GQA, MQA or MLA attention, sliding windows and hybrids
// with state-space mixers. Wider than model/model_config_fields.h, because plans are checked against other people's models too; shape_of turns a config.json
// of ours into one, so that there is one count for both. Numbers only: no counts, no time, no hardware.
#pragma once
#include <cstdint>
#include <string>

#include "model/model_config.h"

namespace finback {

struct ModelShape {
  std::string name;
  int64_t layers = 0, d_model = 0;
  int64_t heads = 0, kv_heads = 0, head_dim = 0, value_dim = 0;  // head_dim: of query and key; of MLA nope + rope
  int64_t q_rank = 0, kv_rank = 0, rope_dim = 0;                 // MLA when kv_rank > 0
  int64_t d_ffn = 0;
  bool gated = true;
  int64_t dense_layers = 0;  // of an MoE model: layers with a dense FFN
  int64_t experts = 0, top_k = 0, shared_experts = 0, d_expert = 0;
  bool expert_bias = false;  // the router adds a stored bias to each expert's score (V3 eq. 16)
  int64_t vocab = 0;
  bool tied = false;                             // the head is the embedding
  int64_t mtp = 0;                               // multi-token-prediction modules
  int64_t window = 0;                            // sliding window of a share of the attention layers; 0: none
  double window_share = 0;                       //
  int64_t attention_layers = 0, ffn_layers = 0;  // usually both `layers`; fewer in hybrids
  int64_t mixer_layers = 0, mixer_matmul = 0;    // state-space mixers: layers, matrix parameters of each

  bool is_mla() const { return kv_rank > 0; }
  bool is_moe() const { return experts > 0; }
  int64_t moe_layers() const { return is_moe() ? ffn_layers - dense_layers : 0; }
  int64_t plain_ffn_layers() const { return ffn_layers - moe_layers(); }
};

ModelShape shape_of(const ModelConfig& config);

}  // namespace finback
