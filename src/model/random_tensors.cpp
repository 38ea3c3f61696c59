#include "model/random_tensors.h"

#include <ATen/ATen.h>

#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "base/rng.h"
#include "model/parameter_specs.h"

namespace finback {

// As checkpoint_save.cpp writes a model.
RandomTensors::RandomTensors(const ModelConfig& config, uint64_t seed) : initializer_range_(config.initializer_range), seed_(seed) {
  const std::string embedding = "model.embed_tokens.weight", head = config.tie_word_embeddings ? embedding : "lm_head.weight";
  const std::vector<int64_t> rows = {config.vocab_size, config.hidden_size};
  for (const ParameterSpec& spec : parameter_specs(config)) {
    const auto sibling = [&](const char* of, const char* name) { return spec.name.substr(0, spec.name.size() - std::strlen(of)) + name; };
    if (spec.name.ends_with(".enorm.weight")) add(sibling("enorm.weight", "embed_tokens.weight"), rows, embedding);
    add(spec.name, spec.shape, spec.name);
    if (spec.name.ends_with(".shared_head.norm.weight")) add(sibling("norm.weight", "head.weight"), rows, head);
    if (spec.name.ends_with(".mlp.gate.weight") && config.has_expert_bias())
      add(sibling("weight", "e_score_correction_bias"), {config.n_routed_experts}, "");
  }
}

void RandomTensors::add(const std::string& name, const std::vector<int64_t>& shape, const std::string& key) {
  names_.push_back(name);
  tensors_[name] = {shape, key};
}

const RandomTensors::Tensor& RandomTensors::find(const std::string& name) const {
  const auto found = tensors_.find(name);
  FB_CHECK(found != tensors_.end(), "expected a tensor of the model, got {}", quoted_name(name));
  return found->second;
}

TensorEntry RandomTensors::entry(const std::string& name) const { return {name, at::kFloat, find(name).shape, 0, 0}; }

at::Tensor RandomTensors::tensor(const std::string& name) const {
  if (name != last_name_) last_ = at::Tensor(), last_ = make(name), last_name_ = name;
  return last_;
}

at::Tensor RandomTensors::make(const std::string& name) const {
  const Tensor& tensor = find(name);
  if (tensor.key.empty()) return at::zeros(tensor.shape, at::kFloat);
  if (tensor.shape.size() < 2) return at::ones(tensor.shape, at::kFloat);
  const at::Tensor numbers = at::empty(tensor.shape, at::kFloat);
  fill_normal(numbers.mutable_data_ptr<float>(), numbers.numel(), float(initializer_range_), Stream::kInit, seed_, xxhash64(tensor.key));
  return numbers;
}

}  // namespace finback
