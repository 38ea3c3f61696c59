#include "cost/model_shape.h"

namespace finback {

ModelShape shape_of(const ModelConfig& c) {
  ModelShape s;
  s.name = c.model_type;
  s.layers = s.attention_layers = s.ffn_layers = c.num_hidden_layers;
  s.d_model = c.hidden_size;
  s.heads = s.kv_heads = c.num_attention_heads;
  s.head_dim = c.qk_head_dim();
  s.value_dim = c.v_head_dim;
  s.q_rank = c.q_lora_rank.value_or(0);
  s.kv_rank = c.kv_lora_rank;
  s.rope_dim = c.qk_rope_head_dim;
  s.d_ffn = c.intermediate_size;
  if (c.n_routed_experts > 0) {
    for (int64_t layer = 0; layer < c.num_hidden_layers; ++layer) s.dense_layers += !c.is_moe_layer(layer);
    s.experts = c.n_routed_experts;
    s.top_k = c.num_experts_per_tok;
    s.shared_experts = c.n_shared_experts;
    s.d_expert = c.moe_intermediate_size;
    s.expert_bias = c.has_expert_bias();
  }
  s.vocab = c.vocab_size;
  s.tied = c.tie_word_embeddings;
  s.mtp = c.num_nextn_predict_layers;
  return s;
}

}  // namespace finback
