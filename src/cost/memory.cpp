#include "cost/memory.h"

#include "cost/flops.h"
#include "cost/model_size.h"

namespace finback {

TrainMemory train_memory(const ModelConfig& c, int64_t micro_batch_tokens) {
  const double parameters = double(model_size(c).total()), t = double(micro_batch_tokens);
  TrainMemory memory;
  memory.weights = memory.gradients = 4 * parameters;
  memory.optimizer = 8 * parameters;
  const double table = c.tie_word_embeddings ? 0.0 : double(c.vocab_size * c.hidden_size);  // the embedding itself is never packed
  memory.packed_weights = 8 * (parameters - table);
  // Floats a token keeps for a layer's backward: two residual inputs, q latent, kv latent with rope key, q, k/v, attention output,
  // and gate/up of every FFN that it runs through.
  const double h = double(c.num_attention_heads);
  const double attention = 2.0 * double(c.hidden_size) + double(c.q_lora_rank.value_or(0) + c.latent_dim()) +
                           h * double(c.qk_head_dim() + c.qk_nope_head_dim + 2 * c.v_head_dim);
  for (int64_t layer = 0; layer < c.total_layers(); ++layer) {
    const double ffn =
        c.is_moe_layer(layer)
            ? double((c.num_experts_per_tok + c.n_shared_experts) * 2 * c.moe_intermediate_size + c.num_experts_per_tok * 2 * c.hidden_size)
            : double(2 * c.intermediate_size);
    memory.activations += 4 * t * (attention + ffn);
  }
  return memory;
}

double serve_memory(const ModelConfig& c, double bytes_per_weight, int64_t cached_tokens) {
  return bytes_per_weight * double(model_size(c).total()) + double(cached_tokens) * double(cache_bytes_per_token(c, 4, true));
}

}  // namespace finback
