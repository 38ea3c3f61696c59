#include "model/parameters.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/file.h"
#include "base/pool.h"
#include "base/rng.h"

namespace finback {
namespace {

// Appends specs one after the other in the flat buffer.
struct SpecList {
  std::vector<ParameterSpec> specs;
  int64_t total = 0;

  void add(std::string name, std::vector<int64_t> shape) {
    int64_t numel = 1;
    for (const int64_t size : shape) numel *= size;
    specs.push_back({std::move(name), std::move(shape), total, numel});
    total += numel;
  }
  void add_mlp(const std::string& prefix, int64_t hidden, int64_t width) {
    add(prefix + "gate_proj.weight", {width, hidden});
    add(prefix + "up_proj.weight", {width, hidden});
    add(prefix + "down_proj.weight", {hidden, width});
  }
};

void add_attention(SpecList& list, const ModelConfig& c, const std::string& p) {
  const int64_t d = c.hidden_size, h = c.num_attention_heads, q_rows = h * c.qk_head_dim();
  if (c.q_lora_rank) {
    list.add(p + "q_a_proj.weight", {*c.q_lora_rank, d});
    list.add(p + "q_a_layernorm.weight", {*c.q_lora_rank});
    list.add(p + "q_b_proj.weight", {q_rows, *c.q_lora_rank});
  } else {
    list.add(p + "q_proj.weight", {q_rows, d});
  }
  list.add(p + "kv_a_proj_with_mqa.weight", {c.latent_dim(), d});
  list.add(p + "kv_a_layernorm.weight", {c.kv_lora_rank});
  list.add(p + "kv_b_proj.weight", {h * (c.qk_nope_head_dim + c.v_head_dim), c.kv_lora_rank});
  list.add(p + "o_proj.weight", {d, h * c.v_head_dim});
}

void add_block(SpecList& list, const ModelConfig& c, int64_t layer) {
  const std::string p = fmt::format("model.layers.{}.", layer);
  const int64_t d = c.hidden_size;
  list.add(p + "input_layernorm.weight", {d});
  add_attention(list, c, p + "self_attn.");
  list.add(p + "post_attention_layernorm.weight", {d});
  if (!c.is_moe_layer(layer)) return list.add_mlp(p + "mlp.", d, c.intermediate_size);
  list.add(p + "mlp.gate.weight", {c.n_routed_experts, d});
  for (int64_t e = 0; e < c.n_routed_experts; ++e) list.add_mlp(fmt::format("{}mlp.experts.{}.", p, e), d, c.moe_intermediate_size);
  if (c.n_shared_experts > 0) list.add_mlp(p + "mlp.shared_experts.", d, c.n_shared_experts * c.moe_intermediate_size);
}

SpecList list_parameters(const ModelConfig& c) {
  const int64_t d = c.hidden_size;
  SpecList list;
  list.add("model.embed_tokens.weight", {c.vocab_size, d});
  for (int64_t layer = 0; layer < c.num_hidden_layers; ++layer) add_block(list, c, layer);
  list.add("model.norm.weight", {d});
  if (!c.tie_word_embeddings) list.add("lm_head.weight", {c.vocab_size, d});
  for (int64_t layer = c.num_hidden_layers; layer < c.total_layers(); ++layer) {
    const std::string p = fmt::format("model.layers.{}.", layer);
    list.add(p + "enorm.weight", {d});
    list.add(p + "hnorm.weight", {d});
    list.add(p + "eh_proj.weight", {d, 2 * d});  // embedding's columns first
    add_block(list, c, layer);
    list.add(p + "shared_head.norm.weight", {d});
  }
  return list;
}

SpecList list_buffers(const ModelConfig& c) {
  SpecList list;
  for (int64_t layer = 0; c.has_expert_bias() && layer < c.total_layers(); ++layer) {
    if (c.is_moe_layer(layer)) list.add(fmt::format("model.layers.{}.mlp.gate.e_score_correction_bias", layer), {c.n_routed_experts});
  }
  return list;
}

std::unordered_map<std::string, size_t> index_of(const std::vector<ParameterSpec>& specs) {
  std::unordered_map<std::string, size_t> index;
  for (size_t i = 0; i < specs.size(); ++i) index.emplace(specs[i].name, i);
  return index;
}

at::Tensor view_of(const at::Tensor& flat_P, const std::vector<ParameterSpec>& specs, const std::unordered_map<std::string, size_t>& index,
                   const std::string& name) {
  const auto found = index.find(name);
  FB_ASSERT(found != index.end(), "no tensor is called {}", name);
  const ParameterSpec& spec = specs[found->second];
  return flat_P.narrow(0, spec.offset, spec.numel).view(spec.shape);
}

uint64_t hash_tensor(const at::Tensor& flat, uint64_t seed) {
  const at::Tensor cpu = flat.to(at::kCPU).contiguous();
  return xxhash64(std::span(static_cast<const std::byte*>(cpu.const_data_ptr()), size_t(cpu.nbytes())), seed);
}

}  // namespace

std::vector<ParameterSpec> parameter_specs(const ModelConfig& config) { return list_parameters(config).specs; }
std::vector<ParameterSpec> buffer_specs(const ModelConfig& config) { return list_buffers(config).specs; }

Parameters::Parameters(const ModelConfig& config, at::Device device, bool gradients) : config_(config) {
  SpecList parameters = list_parameters(config), buffers = list_buffers(config);
  const at::TensorOptions options = at::TensorOptions().dtype(at::kFloat).device(device);
  values_P_ = at::zeros({parameters.total}, options);  // ATen's CPU allocations are 64-byte aligned
  if (gradients) grads_P_ = at::zeros({parameters.total}, options);
  buffers_ = at::zeros({buffers.total}, options);
  specs_ = std::move(parameters.specs);
  buffer_specs_ = std::move(buffers.specs);
  index_ = index_of(specs_);
  buffer_index_ = index_of(buffer_specs_);
}

int64_t Parameters::numel_with_mtp(int64_t modules) const {
  const std::string left_out = fmt::format("model.layers.{}.", config_.num_hidden_layers + modules);
  for (const ParameterSpec& spec : specs_) {
    if (spec.name.starts_with(left_out)) return spec.offset;
  }
  return values_P_.numel();
}

at::Tensor Parameters::value(const std::string& name) const { return view_of(values_P_, specs_, index_, name); }

at::Tensor Parameters::grad(const std::string& name) const {
  return has_gradients() ? view_of(grads_P_, specs_, index_, name) : at::Tensor();
}

at::Tensor Parameters::shared_grad(const std::string& name, int64_t contribution) {
  if (contribution == 0) return grad(name);
  at::Tensor& part = shared_grads_[name][contribution];
  if (!part.defined()) part = at::zeros_like(grad(name));
  return part;
}

void Parameters::fold_shared_gradients() {
  for (auto& [name, parts] : shared_grads_) {
    for (auto& [contribution, part] : parts) {
      grad(name).add_(part);
      part.zero_();
    }
  }
}

at::Tensor Parameters::buffer(const std::string& name) const { return view_of(buffers_, buffer_specs_, buffer_index_, name); }

// gate [F, D], up [F, D], down [D, F] of one expert, then the next expert: 3 F D floats apart.
at::Tensor Parameters::stacked_gate_up(const std::string& prefix, bool gradient) const {
  const int64_t d = config_.hidden_size, f = config_.moe_intermediate_size;
  const at::Tensor first_FD = gradient ? grad(prefix + "0.gate_proj.weight") : value(prefix + "0.gate_proj.weight");
  return first_FD.defined() ? first_FD.as_strided({config_.n_routed_experts, 2 * f, d}, {3 * f * d, d, 1}) : first_FD;
}

at::Tensor Parameters::stacked_down(const std::string& prefix, bool gradient) const {
  const int64_t d = config_.hidden_size, f = config_.moe_intermediate_size;
  const at::Tensor first_DF = gradient ? grad(prefix + "0.down_proj.weight") : value(prefix + "0.down_proj.weight");
  return first_DF.defined() ? first_DF.as_strided({config_.n_routed_experts, d, f}, {3 * f * d, f, 1}) : first_DF;
}

void Parameters::initialize(uint64_t seed, double initializer_range) {
  const at::Tensor cpu_P = values_P_.is_cpu() ? values_P_ : at::empty(values_P_.sizes(), at::kFloat);
  float* values = cpu_P.mutable_data_ptr<float>();
  parallel_for(int64_t(specs_.size()), [&](int64_t i) {
    const ParameterSpec& spec = specs_[size_t(i)];
    float* out = values + spec.offset;
    if (spec.shape.size() < 2) {
      std::fill(out, out + spec.numel, 1.0f);  // norms are the only vectors
    } else {
      fill_normal(out, spec.numel, float(initializer_range), Stream::kInit, seed, xxhash64(spec.name));
    }
  });
  if (!values_P_.is_cpu()) values_P_.copy_(cpu_P);
  buffers_.zero_();
  touch();
}

std::string Parameters::fingerprint() const { return fmt::format("{:016x}", hash_tensor(buffers_, hash_tensor(values_P_, 0))); }

}  // namespace finback
