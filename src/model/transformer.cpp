#include "model/transformer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <xxhash.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "kernels/embedding.h"
#include "model/block.h"
#include "model/mtp.h"
#include "model/rope_table.h"

namespace finback {

// Built once; the closures of a backward pass point into it.
struct Transformer::Layers {
  ModelConfig config;
  at::Device device;
  Parameters parameters;
  at::Tensor cos_sin_SR, embedding_WD;
  std::vector<std::unique_ptr<Block>> blocks;
  Norm final_norm;
  LayerMatrix head;
  std::vector<std::unique_ptr<MtpModule>> mtp;

  Layers(const ModelConfig& model_config, at::Device on, bool trainable, bool holds_matrices)
      : config(model_config),
        device(on),
        parameters(
            config, device, trainable, holds_matrices ? Parameters::Holds() : [](const ParameterSpec& spec) { return !spec.is_stored(); },
            /*shapes_of_others=*/!holds_matrices),
        cos_sin_SR(rope_table(config, device)) {
    embedding_WD = parameters.value("model.embed_tokens.weight");
    for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) blocks.push_back(std::make_unique<Block>(config, parameters, layer));
    final_norm = Norm(parameters, "model.norm", config.rms_norm_eps);
    head.name = "lm_head";
    head.packed =
        PackedWeight(parameters.value(config.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight"), parameters.stamp());
    for (int64_t layer = config.num_hidden_layers; layer < config.total_layers(); ++layer) {
      mtp.push_back(std::make_unique<MtpModule>(config, parameters, layer, embedding_WD));
    }
  }

  std::shared_ptr<ForwardPass> pass(const Batch& batch, const ForwardOptions& options, int64_t slot_shift) const {
    return make_forward_pass(batch, options, cos_sin_SR, !config.rope_interleave, slot_shift);
  }

  // No sequence is long enough for this depth; the log still gets an entry, so that every micro-batch of a step has the same ones.
  Mtp empty_depth(int64_t k, MtpRows rows, const ForwardOptions& options) const {
    const int64_t layer = config.num_hidden_layers + k;
    const auto on_device = at::TensorOptions().device(device);
    if (options.log != nullptr && config.is_moe_layer(layer)) {
      options.log->layers.push_back({layer,
                                     at::zeros({config.n_routed_experts}, on_device.dtype(at::kLong)),
                                     at::zeros({0, config.num_experts_per_tok}, on_device.dtype(at::kLong)),
                                     {}});
    }
    const at::Tensor none_TD = at::zeros({0, config.hidden_size}, on_device.dtype(at::kFloat));
    return {std::move(rows.batch), rows.rows, none_TD};
  }
};

Transformer::Transformer(const ModelConfig& config, at::Device device, bool trainable, bool holds_matrices)
    : layers_(std::make_unique<Layers>(config, device, trainable, holds_matrices)) {}
Transformer::~Transformer() = default;

const ModelConfig& Transformer::config() const { return layers_->config; }
Parameters& Transformer::parameters() { return layers_->parameters; }
const Parameters& Transformer::parameters() const { return layers_->parameters; }
at::Device Transformer::device() const { return layers_->device; }

void Transformer::set_precision(const PrecisionPlan& plan) {
  const auto numerics_of = [&](const std::string& sub_layer) {
    const bool fell = std::find(plan.fallen_back.begin(), plan.fallen_back.end(), sub_layer) != plan.fallen_back.end();
    return fell ? Numerics{Precision::kBf16, Precision::kBf16} : Numerics{plan.precision, plan.wgrad};
  };
  const auto set = [&](Block& block, int64_t layer) {
    block.set_numerics(numerics_of(layer_prefix(layer) + "self_attn"), numerics_of(layer_prefix(layer) + "mlp"));
  };
  int64_t layer = 0;
  for (const auto& block : layers_->blocks) set(*block, layer++);
  for (const auto& module : layers_->mtp) set(module->block(), layer++);
}

void Transformer::prepare(MlaAlgebra algebra, bool backward) {
  for (const auto& block : layers_->blocks) block->prepare(algebra, backward);
  layers_->head.prepare(backward);
}

void Transformer::for_each_weight(const std::function<void(LayerMatrix&)>& visit) {
  Layers& m = *layers_;
  for (const auto& block : m.blocks) block->for_each_projection(visit);
  for (const auto& module : m.mtp) module->for_each_projection(visit);
  visit(m.head);
}

std::shared_ptr<const StoredWeights> Transformer::store_weights(Precision storage) {
  const auto weights = std::make_shared<StoredWeights>();
  for_each_weight([&](LayerMatrix& matrix) {
    const bool is_head = &matrix == &layers_->head;
    weights->emplace(matrix.name, store_weight(matrix.packed.weight(), is_head && storage == Precision::kFp8 ? Precision::kBf16 : storage,
                                               matrix.transposed));
  });
  read_stored(weights);
  return weights;
}

void Transformer::read_stored(const std::shared_ptr<const StoredWeights>& weights) {
  FB_ASSERT(!layers_->parameters.has_gradients(), "stored weights have no gradients");
  size_t found = 0;
  for_each_weight([&](LayerMatrix& matrix) {
    const auto of_matrix = weights->find(matrix.name);
    if (of_matrix == weights->end()) return matrix.stored.reset();
    const StoredWeight& stored = of_matrix->second;
    FB_ASSERT(stored.groups() == matrix.packed.groups() && stored.n() == matrix.packed.n() && stored.k() == matrix.packed.k() &&
                  stored.transposed() == matrix.transposed,
              "the stored weights of a model of this shape");
    matrix.stored = {weights, &stored};
    ++found;
  });
  FB_ASSERT(found == weights->size(), "a matrix for every stored weight");
}

std::string Transformer::fingerprint() {
  const std::string of_parameters = parameters().fingerprint();
  std::vector<uint64_t> hashes = {XXH3_64bits(of_parameters.data(), of_parameters.size())};
  const auto add = [&](const at::Tensor& t) {
    if (t.defined()) hashes.push_back(XXH3_64bits(t.const_data_ptr(), t.nbytes()));
  };
  for_each_weight([&](LayerMatrix& matrix) {
    if (matrix.stored) add(matrix.stored->memory()), add(matrix.stored->scales());
  });
  if (hashes.size() == 1) return of_parameters;
  return fmt::format("{:016x}", XXH3_64bits(hashes.data(), hashes.size() * sizeof(uint64_t)));
}

at::Tensor Transformer::forward(const Batch& batch, const ForwardOptions& options) {
  const Layers& m = *layers_;
  FB_ASSERT(options.cache == nullptr || !m.parameters.has_gradients() || !at::GradMode::is_enabled(), "no gradients flow over a cache");
  prepare(options.algebra, m.parameters.has_gradients() && at::GradMode::is_enabled());
  const auto pass = m.pass(batch, options, 0);
  at::Tensor x_TD = sub_layer(autograd_root(m.parameters.has_gradients(), m.device), [&](bool keep) {
    LayerResult result{finback::embedding(batch.tokens_T, m.embedding_WD), {}};
    if (keep) {
      result.backward = [tokens_T = batch.tokens_T, d_WD = m.parameters.grad("model.embed_tokens.weight")](const at::Tensor& dx_TD) {
        embedding_backward_(d_WD, tokens_T, dx_TD);
        return at::Tensor();
      };
    }
    return result;
  });
  for (const auto& block : m.blocks) x_TD = block->forward(x_TD, pass);
  return norm_only(m.final_norm, x_TD);
}

Transformer::Mtp Transformer::mtp_forward(int64_t k, const Batch& below, const at::Tensor& hidden_TD, const ForwardOptions& options) {
  const Layers& m = *layers_;
  FB_ASSERT(k >= 0 && k < int64_t(m.mtp.size()), "the model has a module for each depth");
  MtpRows rows = mtp_rows(below);
  if (rows.batch.tokens() == 0) return m.empty_depth(k, std::move(rows), options);
  const bool keep = at::GradMode::is_enabled() && hidden_TD.requires_grad();
  const at::Tensor d_embedding_WD = keep ? layers_->parameters.shared_grad("model.embed_tokens.weight", 1 + k) : at::Tensor();
  MtpModule& module = *m.mtp[size_t(k)];
  module.prepare(options.algebra, keep);
  const at::Tensor deeper_TD = module.forward(rows, hidden_TD, m.pass(rows.batch, options, k + 1), d_embedding_WD);
  return {std::move(rows.batch), rows.rows, deeper_TD};
}

at::Tensor Transformer::mtp_forward(int64_t k, const MtpRows& rows, const at::Tensor& hidden_TD, const ForwardOptions& options) {
  const Layers& m = *layers_;
  FB_ASSERT(k >= 0 && k < int64_t(m.mtp.size()), "the model has a module for each depth");
  FB_ASSERT(rows.batch.tokens() > 0 && !(at::GradMode::is_enabled() && hidden_TD.requires_grad()), "rows without gradients");
  MtpModule& module = *m.mtp[size_t(k)];
  module.prepare(options.algebra, /*backward=*/false);
  layers_->head.prepare(/*backward=*/false);  // drafts may come before the first forward() with new weights
  return module.forward(rows, hidden_TD, m.pass(rows.batch, options, k + 1), {});
}

at::Tensor Transformer::logits(const at::Tensor& hidden_TD) const { return linear(hidden_TD, head()); }  // V3 eq. 23
WeightOperand Transformer::head() const { return layers_->head.operand(); }

at::Tensor Transformer::head_grad(int64_t contribution) const {
  Parameters& parameters = layers_->parameters;
  if (!layers_->config.tie_word_embeddings) return parameters.shared_grad("lm_head.weight", contribution);
  // Tied: behind those of the input and of each MTP depth's input.
  return parameters.shared_grad("model.embed_tokens.weight", 1 + layers_->config.num_nextn_predict_layers + contribution);
}

}  // namespace finback
