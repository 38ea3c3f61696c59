// Small models and batches for the tests of this folder. Test code only.
#pragma once
#include <ATen/ATen.h>

#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/rng.h"
#include "model/lm_loss.h"
#include "model/transformer.h"

namespace finback::test {

// V3's form in small: q_lora, one dense layer, groups, shared expert, one MTP module; `changes` overrides keys (null removes one).
inline ModelConfig small_config(const std::string& changes = "{}") {
  Json json =
      parse_json(R"({"model_type": "deepseek_v3", "vocab_size": 61, "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 3,
    "q_lora_rank": 12, "kv_lora_rank": 10, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 6, "first_k_dense_replace": 1,
    "intermediate_size": 20, "moe_intermediate_size": 8, "n_routed_experts": 8, "n_shared_experts": 1, "num_experts_per_tok": 3, "n_group": 4,
    "topk_group": 2, "routed_scaling_factor": 2.5, "num_nextn_predict_layers": 1, "max_position_embeddings": 256, "rope_theta": 10000})",
                 "test config");
  const Json overrides = parse_json(changes, "changes");
  for (const auto& [key, value] : overrides.items()) {
    if (value.is_null() && key != "q_lora_rank") {
      json.erase(key);
    } else {
      json[key] = value;
    }
  }
  return parse_model_config(json, "test config");
}

// Every parameter matters: matrices N(0, 1/fan_in), norms 1 + 0.1 N, selection biases 0.05 N.
inline void make_lively(Parameters& parameters, uint64_t seed) {
  const auto fill = [&](const at::Tensor& view, uint64_t index, double mean, double scale) {
    at::Tensor values = at::empty(view.sizes(), at::kFloat);
    fill_normal(values.mutable_data_ptr<float>(), values.numel(), float(scale), Stream::kTest, seed, index);
    view.copy_(values.add_(mean));
  };
  for (size_t i = 0; i < parameters.specs().size(); ++i) {
    const ParameterSpec& spec = parameters.specs()[i];
    const bool matrix = spec.shape.size() >= 2, embedding = spec.name == "model.embed_tokens.weight";
    fill(parameters.value(spec.name), i, matrix ? 0 : 1, embedding ? 1 : matrix ? 1 / std::sqrt(double(spec.shape[1])) : 0.1);
  }
  for (size_t i = 0; i < parameters.buffers().size(); ++i) fill(parameters.buffer(parameters.buffers()[i].name), 1000 + i, 0, 0.05);
  parameters.touch();
}

inline std::unique_ptr<Transformer> lively_model(const ModelConfig& config, bool trainable = true, uint64_t seed = 5) {
  auto model = std::make_unique<Transformer>(config, at::kCPU, trainable);
  make_lively(model->parameters(), seed);
  return model;
}

struct PackedDocuments {
  Batch batch;
  at::Tensor targets_T;
};

// Documents of these lengths, packed; the target is the next token, none behind a document's last. Positions restart with each document.
inline PackedDocuments documents(const std::vector<int64_t>& lengths, int64_t vocab, uint64_t seed = 1) {
  std::vector<int64_t> starts = {0}, ids, positions, targets;
  for (const int64_t length : lengths) {
    for (int64_t i = 0; i < length; ++i) {
      const auto words = philox(Stream::kTest, seed, uint64_t(ids.size()));
      ids.push_back(int64_t(uniform_below(words[0], words[1], uint64_t(vocab))));
      positions.push_back(i);
    }
    starts.push_back(int64_t(ids.size()));
  }
  for (size_t b = 0; b + 1 < starts.size(); ++b) {
    for (int64_t row = starts[b]; row < starts[b + 1]; ++row) targets.push_back(row + 1 < starts[b + 1] ? ids[size_t(row + 1)] : -1);
  }
  return {packed_batch(at::tensor(ids, at::kLong), at::tensor(positions, at::kLong), starts), at::tensor(targets, at::kLong)};
}

inline LossInputs loss_inputs(const PackedDocuments& rows, const ModelConfig& config, double mtp_lambda = 0.3) {
  LossInputs inputs;
  inputs.targets_T = rows.targets_T;
  inputs.main_denominator = double(rows.targets_T.ge(0).sum().item<int64_t>());
  for (const int64_t count : mtp_target_counts(rows.batch, rows.targets_T, config.num_nextn_predict_layers)) {
    inputs.mtp_denominators.push_back(double(count));
  }
  inputs.mtp_lambda = mtp_lambda;
  inputs.gradients = true;
  return inputs;
}

inline double relative_l2(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor difference = a.to(at::kDouble) - b.to(at::kDouble);
  return (difference.norm() / b.to(at::kDouble).norm().clamp_min(1e-30)).item<double>();
}

}  // namespace finback::test
