#include "cost/train_memory.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "cost/panel_bytes.h"
#include "cost/parameter_count.h"

namespace finback {
namespace {

constexpr double kTile = 128;  // values of a row that share an fp8 scale

// A token's bytes for the backward pass, layer by layer. f32 keeps every input and output; bf16 and fp8 keep a linear's input as it is multiplied, and
// recompute queries, keys, values, SwiGLU's output and the router's input.
struct KeptBytes {
  const ModelConfig& c;
  Precision precision;
  bool f32() const { return precision == Precision::kF32; }

  // A row of `columns` as a linear multiplies it.
  double row(double columns) const {
    if (f32()) return 4 * columns;
    return precision == Precision::kBf16 ? 2 * columns : columns + 4 * std::ceil(columns / kTile);
  }
  // The residual x with its norm's statistic, and the normed row.
  double before() const { return 4 * double(c.hidden_size) + 4 + row(double(c.hidden_size)); }

  // Both latents raw, normed and with a statistic; the rope key; queries, keys and values; the output and a log-sum-exp a head.
  double attention() const {
    const double heads = double(c.num_attention_heads), q = double(c.q_lora_rank.value_or(0)), latent = double(c.kv_lora_rank);
    const double query = q > 0 ? 4 * q + 4 + row(q) : 0, key = 4 * double(c.latent_dim()) + 4 + row(latent);
    const double recomputed = heads * double(c.qk_head_dim() + c.qk_nope_head_dim + c.v_head_dim);
    return before() + query + key + (f32() ? 4 * recomputed : 0) + 4 * heads * double(c.v_head_dim + 1);
  }
  // Gate and up columns, and in f32 their product.
  double swiglu(double width) const { return row(2 * width) + (f32() ? 4 * width : 0); }
  double dense() const { return before() + swiglu(double(c.intermediate_size)); }
  // Scores; ids, weights and both directions of the dispatch; in f32 each slot's own input; outputs of the experts for the gate's gradient.
  double moe() const {
    const double k = double(c.num_experts_per_tok), d = double(c.hidden_size), width = double(c.moe_intermediate_size);
    const double routing = 4 * double(c.n_routed_experts) + (8 + 4 + 8 + 8) * k, slots = k * d * (f32() ? 4 + 4 : 2);
    const double shared = c.n_shared_experts > 0 ? swiglu(double(c.n_shared_experts) * width) : 0;
    return before() + routing + slots + k * swiglu(width) + shared;
  }
  // A head: its norm's input and statistic, the normed row, its gradient; loss, log-sum-exp and argmax.
  double head() const { return 3 * 4 * double(c.hidden_size) + 4 + 4 + 4 + 8; }
  // What an MTP module joins: two rows with statistics, the joined row; ids and places.
  double join() const { return 4 * 4 * double(c.hidden_size) + 2 * 4 + 2 * 8; }
  double total() const {
    double bytes = head() + double(c.num_nextn_predict_layers) * (join() + head());
    for (int64_t layer = 0; layer < c.total_layers(); ++layer) bytes += attention() + (c.is_moe_layer(layer) ? moe() : dense());
    return bytes;
  }
};

// A token's bytes in the backward pass of the sub-layer that needs most: gradients of what it reads and makes, quantized rows dequantized or recomputed, and the rows
// of a product's operands. Words that the kernels pack for a core's cache are not per token.
double working_bytes(const ModelConfig& c, Precision precision) {
  const KeptBytes kept{c, precision};
  const double d = double(c.hidden_size), heads = double(c.num_attention_heads);
  const double qkv = heads * double(c.qk_head_dim() + c.qk_nope_head_dim + c.v_head_dim);
  const double attention = 4 * (2 * d + heads * double(c.v_head_dim) + (kept.f32() ? 1 : 2) * qkv);
  const auto ffn = [&](double rows, double width) {
    const double operands = kept.f32() ? 4 * d : kept.row(2 * width + d);
    return 4 * d + rows * (4 * (kept.f32() ? 2 * d + 3 * width : 3 * d + 6 * width) + operands);
  };
  double most = attention;
  for (int64_t layer = 0; layer < c.total_layers(); ++layer)
    most = std::max(most, c.is_moe_layer(layer) ? ffn(double(c.num_experts_per_tok), double(c.moe_intermediate_size))
                                                : ffn(1, double(c.intermediate_size)));
  return most;
}

}  // namespace

TrainMemory train_memory(const ModelConfig& c, int64_t micro_batch_tokens, Precision precision) {
  FB_ASSERT(precision != Precision::kInt8, "nothing is trained in int8");
  const ModelShape shape = shape_of(c);
  const ParameterCount count = count_parameters(shape);
  const double parameters = double(count.total_with_mtp()), t = double(micro_batch_tokens);
  const double trained = parameters - double(count.layers.expert_bias + count.mtp.expert_bias);  // biases have no gradient and no moments
  TrainMemory memory;
  memory.weights = 4 * parameters;
  // Beside the gradient itself a buffer for every further use of the embedding and the head: each MTP depth's two, and a tied head's.
  const double buffers = double(2 * c.num_nextn_predict_layers + (c.tie_word_embeddings ? 1 : 0));
  memory.gradients = 4 * (trained + buffers * double(count.head));
  memory.optimizer = 8 * trained;
  memory.packed_weights = double(packed_weight_bytes(shape, precision));
  memory.activations = t * KeptBytes{c, precision}.total();
  memory.working = t * working_bytes(c, precision);
  return memory;
}

}  // namespace finback
