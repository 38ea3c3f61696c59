#include "cost/model_size.h"

namespace finback {
namespace {

int64_t attention_parameters(const ModelConfig& c) {
  const int64_t d = c.hidden_size, h = c.num_attention_heads, qk = c.qk_head_dim();
  const int64_t q = c.q_lora_rank ? d * *c.q_lora_rank + *c.q_lora_rank + *c.q_lora_rank * h * qk : d * h * qk;
  const int64_t kv_down = d * (c.kv_lora_rank + c.qk_rope_head_dim) + c.kv_lora_rank;
  const int64_t kv_up = c.kv_lora_rank * h * (c.qk_nope_head_dim + c.v_head_dim);
  return q + kv_down + kv_up + h * c.v_head_dim * d;
}

}  // namespace

int64_t ModelSize::active() const { return total_without_mtp() - embedding - routed_experts + active_routed + tied_head; }

ModelSize model_size(const ModelConfig& c) {
  const int64_t d = c.hidden_size, expert = 3 * d * c.moe_intermediate_size, e = c.n_routed_experts;
  const int64_t gate = d * e + (c.has_expert_bias() ? e : 0);
  ModelSize size;
  size.embedding = c.vocab_size * d;
  (c.tie_word_embeddings ? size.tied_head : size.head) = c.vocab_size * d;
  size.norms = d;
  for (int64_t layer = 0; layer < c.num_hidden_layers; ++layer) {
    size.attention += attention_parameters(c);
    size.norms += 2 * d;
    if (!c.is_moe_layer(layer)) {
      size.dense_ffn += 3 * d * c.intermediate_size;
      continue;
    }
    size.routed_experts += e * expert;
    size.active_routed += c.num_experts_per_tok * expert;
    size.shared_experts += c.n_shared_experts * expert;
    size.router += gate;
  }
  // One more block, eh_proj [D, 2D], and the norms enorm, hnorm, shared_head.norm.
  const int64_t ffn = e > 0 ? (e + c.n_shared_experts) * expert + gate : 3 * d * c.intermediate_size;
  size.mtp = c.num_nextn_predict_layers * (attention_parameters(c) + 2 * d + ffn + 2 * d * d + 3 * d);
  return size;
}

}  // namespace finback
