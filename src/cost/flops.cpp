#include "cost/flops.h"

namespace finback {
namespace {

int64_t attention_matmul(const ModelConfig& c) {
  const int64_t d = c.hidden_size, h = c.num_attention_heads, qk = c.qk_head_dim();
  const int64_t q = c.q_lora_rank ? d * *c.q_lora_rank + *c.q_lora_rank * h * qk : d * h * qk;
  return q + d * c.latent_dim() + c.kv_lora_rank * h * (c.qk_nope_head_dim + c.v_head_dim) + h * c.v_head_dim * d;
}

int64_t ffn_matmul(const ModelConfig& c, bool moe) {
  const int64_t d = c.hidden_size;
  if (!moe) return 3 * d * c.intermediate_size;
  return 3 * d * c.moe_intermediate_size * (c.num_experts_per_tok + c.n_shared_experts) + d * c.n_routed_experts;
}

}  // namespace

int64_t matmul_parameters(const ModelConfig& c, bool with_mtp) {
  const int64_t head = c.vocab_size * c.hidden_size;
  int64_t sum = head;
  for (int64_t layer = 0; layer < c.num_hidden_layers; ++layer) sum += attention_matmul(c) + ffn_matmul(c, c.is_moe_layer(layer));
  const int64_t module = attention_matmul(c) + ffn_matmul(c, c.n_routed_experts > 0) + 2 * c.hidden_size * c.hidden_size + head;
  return sum + (with_mtp ? c.num_nextn_predict_layers * module : 0);
}

double train_flops_per_token(const ModelConfig& c, int64_t seq_len, AttentionCount attention, bool with_mtp) {
  const double layers = double(c.num_hidden_layers + (with_mtp ? c.num_nextn_predict_layers : 0));
  const double keys = attention == AttentionCount::kCausal ? 0.5 * double(seq_len) : double(seq_len);
  return 6.0 * double(matmul_parameters(c, with_mtp)) +
         6.0 * layers * double(c.num_attention_heads * (c.qk_head_dim() + c.v_head_dim)) * keys;
}

double decode_flops_per_token(const ModelConfig& c, int64_t context) {
  const double per_key = 2.0 * double(c.num_attention_heads * (2 * c.kv_lora_rank + c.qk_rope_head_dim));
  return 2.0 * double(matmul_parameters(c, false)) + double(c.num_hidden_layers) * per_key * double(context);
}

int64_t cache_bytes_per_token(const ModelConfig& c, int64_t bytes_per_value, bool with_mtp) {
  return bytes_per_value * c.latent_dim() * (with_mtp ? c.total_layers() : c.num_hidden_layers);
}

}  // namespace finback
