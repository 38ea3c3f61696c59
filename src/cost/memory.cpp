#include "cost/memory.h"

#include "cost/flops.h"
#include "cost/model_size.h"

namespace finback {

namespace {

double table_floats(const ModelConfig& c) { return double(c.vocab_size) * double(c.hidden_size); }
// The embedding itself is never packed; a tied head packs the same matrix.
double unpacked_floats(const ModelConfig& c) { return c.tie_word_embeddings ? 0.0 : table_floats(c); }

// Floats a token keeps for the backward pass of a layer's attention: x and n before it, both query latents (raw, normed), q, the kv latent
// with its rope key, the normed latent, keys and values, the output, and a log-sum-exp a head.
double attention_floats(const ModelConfig& c) {
  const double heads = double(c.num_attention_heads);
  return 2.0 * double(c.hidden_size) + double(2 * c.q_lora_rank.value_or(0) + c.latent_dim() + c.kv_lora_rank) +
         heads * double(c.qk_head_dim() + c.qk_nope_head_dim + 2 * c.v_head_dim + 1);
}

// x and n before the FFN, then of every FFN that the token runs through gate, up and their product; each expert's own input and output.
double ffn_floats(const ModelConfig& c, bool moe) {
  const double before = 2.0 * double(c.hidden_size);
  if (!moe) return before + double(3 * c.intermediate_size);
  const int64_t experts = c.num_experts_per_tok + c.n_shared_experts;
  return before + double(experts * 3 * c.moe_intermediate_size + c.num_experts_per_tok * 2 * c.hidden_size + c.n_routed_experts);
}

}  // namespace

TrainMemory train_memory(const ModelConfig& c, int64_t micro_batch_tokens) {
  const double parameters = double(model_size(c).total()), t = double(micro_batch_tokens);
  TrainMemory memory;
  memory.weights = 4 * parameters;
  // Beside the gradient itself a buffer for every further use of the embedding and the head: each MTP depth's two, and a tied head's.
  const double buffers = double(2 * c.num_nextn_predict_layers + (c.tie_word_embeddings ? 1 : 0));
  memory.gradients = 4 * (parameters + buffers * table_floats(c));
  memory.optimizer = 8 * parameters;
  memory.packed_weights = 8 * (parameters - unpacked_floats(c));
  // Each head's norm keeps its input; an MTP module the two rows that it joins, and the joined row.
  double floats = double(c.hidden_size) * double(1 + 5 * c.num_nextn_predict_layers);
  for (int64_t layer = 0; layer < c.total_layers(); ++layer) floats += attention_floats(c) + ffn_floats(c, c.is_moe_layer(layer));
  memory.activations = 4 * t * floats;
  return memory;
}

double serve_memory(const ModelConfig& c, double bytes_per_weight, int64_t cached_tokens) {
  const ModelSize size = model_size(c);
  const double panels = 4 * (double(size.total_without_mtp()) - unpacked_floats(c));
  return bytes_per_weight * double(size.total()) + panels + double(cached_tokens) * double(cache_bytes_per_token(c, 4, true));
}

}  // namespace finback
