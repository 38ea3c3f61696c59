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
  }
  s.vocab = c.vocab_size;
  s.tied = c.tie_word_embeddings;
  s.mtp = c.num_nextn_predict_layers;
  return s;
}

int64_t attention_parameters(const ModelShape& s) {
  const int64_t d = s.d_model, h = s.heads;
  if (!s.is_mla()) return d * (h * s.head_dim + s.kv_heads * (s.head_dim + s.value_dim) + h * s.value_dim);
  const int64_t q = s.q_rank > 0 ? d * s.q_rank + s.q_rank * h * s.head_dim : d * h * s.head_dim;
  return q + d * (s.kv_rank + s.rope_dim) + s.kv_rank * h * (s.head_dim - s.rope_dim + s.value_dim) + h * s.value_dim * d;
}

int64_t dense_ffn_parameters(const ModelShape& s) { return (s.gated ? 3 : 2) * s.d_model * s.d_ffn; }
int64_t expert_parameters(const ModelShape& s) { return (s.gated ? 3 : 2) * s.d_model * s.d_expert; }

ParameterCount count_parameters(const ModelShape& s) {
  const double d = double(s.d_model), head = double(s.vocab) * d, expert = double(expert_parameters(s)), router = d * double(s.experts);
  const double attention = double(attention_parameters(s)), dense = double(dense_ffn_parameters(s));
  const double common =
      double(s.attention_layers) * attention + double(s.plain_ffn_layers()) * dense + double(s.mixer_layers) * double(s.mixer_matmul);
  const double used = double(s.top_k + s.shared_experts) * expert + router, stored = double(s.experts + s.shared_experts) * expert + router;
  const double norms = double(s.attention_layers + s.ffn_layers) * d + d;
  ParameterCount count;
  count.active = common + double(s.moe_layers()) * used + head;
  count.total = common + double(s.moe_layers()) * stored + (s.tied ? 1 : 2) * head + norms;
  // A depth: one more layer, a 2d x d projection; its head is the main one used once more.
  const double mtp = double(s.mtp);
  count.mtp_active = mtp * (attention + (s.is_moe() ? used : dense) + 2 * d * d + head);
  count.mtp_total = mtp * (attention + (s.is_moe() ? stored : dense) + 2 * d * d + 5 * d);
  return count;
}

double visible_keys(const ModelShape& s, double seq_len, bool causal) {
  const double all = causal ? seq_len / 2 : seq_len;
  if (s.window <= 0 || double(s.window) >= seq_len) return all;
  const double w = double(s.window), windowed = w * (1 - w / (2 * seq_len));
  return s.window_share * windowed + (1 - s.window_share) * all;
}

double train_flops(const ModelShape& s, double seq_len, bool causal, bool with_mtp) {
  const ParameterCount count = count_parameters(s);
  const double mtp = with_mtp ? double(s.mtp) : 0, layers = double(s.attention_layers) + mtp;
  return 6 * (count.active + (with_mtp ? count.mtp_active : 0)) +
         6 * layers * double(s.heads * (s.head_dim + s.value_dim)) * visible_keys(s, seq_len, causal);
}

}  // namespace finback
