// The model: one forward for training, scoring and generation over packed tokens. Owns its parameters. Gradients do not go through
// autograd leaves: one custom Function a sub-layer adds its weight gradients straight into Parameters::grads_P, and autograd carries only
// the residual stream. Not thread-safe; ops run on the thread pool.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gemm/precision.h"
#include "model/forward_pass.h"
#include "model/model_config.h"
#include "model/parameters.h"

namespace finback {

// Operands of the linears of blocks, MTP's included: one precision for all, but bf16 for the sub-layers named here
// ("model.layers.3.self_attn", "model.layers.3.mlp"). Embedding, head, router, norms, eh_proj and the attention core stay f32, W_UK and W_UV of
// the absorbed algebra included.
struct PrecisionPlan {
  Precision precision = Precision::kF32, wgrad = Precision::kF32;
  std::vector<std::string> fallen_back;
};

class StoredWeight;
struct MtpRows;
struct LayerMatrix;
class WeightOperand;
// By LayerMatrix::name. A matrix that is not there keeps its f32 values; in a model without them it does not run.
using StoredWeights = std::map<std::string, StoredWeight>;

class Transformer {
 public:
  // trainable allocates the gradient buffer. Parameters are zero until initialize() or a checkpoint is loaded. Without holds_matrices (a model that
  // serves, not trainable) parameters() are embedding, norms, router and expert biases alone: read_stored() brings the matrices.
  Transformer(const ModelConfig& config, at::Device device, bool trainable, bool holds_matrices = true);
  ~Transformer();
  Transformer(const Transformer&) = delete;

  const ModelConfig& config() const;
  Parameters& parameters();
  const Parameters& parameters() const;
  at::Device device() const;
  // From the next forward pass on; f32 until set. REQUIRES: no backward pass is pending.
  void set_precision(const PrecisionPlan& plan);

  // Packs what forward() multiplies by and, with `backward`, what its backward pass does, unless it is there for these values already: once an optimizer
  // step, from the main thread. forward() and mtp_forward() begin with it. Afterwards weights are only read.
  void prepare(MlaAlgebra algebra, bool backward);

  // Serving: every projection and the head are kept in `storage` (kernels/stored_weight.h) and read as stored by forward(); router, norms and
  // embedding stay f32. With fp8 the head is bf16, as V3 section 3.3 keeps it out of FP8. The f32 values of parameters() stay where they are.
  // REQUIRES: not trainable; storage is not f32.
  std::shared_ptr<const StoredWeights> store_weights(Precision storage);
  // Serving from weights that another model of this shape stored, or that were loaded so (model/stored_model.h). REQUIRES: not trainable.
  void read_stored(const std::shared_ptr<const StoredWeights>& weights);
  // Names the weights that serve: Parameters::fingerprint(), hashed with the codes of every stored matrix. One pass over them.
  std::string fingerprint();
  // Every projection, those of MTP too, then the head: the matrices that are stored.
  void for_each_weight(const std::function<void(LayerMatrix&)>& visit);

  // Returns hidden_TD after the final norm. Differentiable (through the residual stream) when trainable and GradMode is on. REQUIRES: then no
  // cache in the options.
  at::Tensor forward(const Batch& batch, const ForwardOptions& options);

  // MTP depth k (from 0), V3 eq. 21-23: row i joins the hidden state of the depth below and the embedding of token i + k + 1 of its sequence.
  struct Mtp {
    Batch batch;           // the rows that have such a token (the last row of every sequence of the depth below drops out)
    at::Tensor rows;       // i64: their rows in the batch of the depth below
    at::Tensor hidden_TD;  // behind shared_head.norm: the head's input, and what the next depth receives
  };
  // below: batch and hidden of the depth below (for k = 0 the main batch and forward()'s result).
  // REQUIRES, over a cache: calls overlap by one row. The last row of a call drops out (its next token is not known), so the next call
  // begins with it again; keys in the cache are those of the rows before it. Pages hold every token up to the one that the last row joins.
  Mtp mtp_forward(int64_t k, const Batch& below, const at::Tensor& hidden_TD, const ForwardOptions& options);
  // The same for rows that the caller chose (at least one): each joins the row of hidden_TD that `rows` names. cached_tokens of a sequence counts the
  // rows of this depth that are in the cache already. Returns Mtp::hidden_TD, ready for logits().
  // REQUIRES: no gradients.
  at::Tensor mtp_forward(int64_t k, const MtpRows& rows, const at::Tensor& hidden_TD, const ForwardOptions& options);

  // Head over chosen rows: [T, W]. The shared head of MTP is the same matrix.
  at::Tensor logits(const at::Tensor& hidden_TD) const;
  WeightOperand head() const;  // lm_head, or the embedding when tied
  // Where the head's gradient goes: 0 from the main loss, 1 + k from MTP depth k. See Parameters::shared_grad.
  at::Tensor head_grad(int64_t contribution) const;

 private:
  struct Layers;
  std::unique_ptr<Layers> layers_;
};

}  // namespace finback
