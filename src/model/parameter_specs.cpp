#include "model/parameter_specs.h"

#include <fmt/format.h>

#include <utility>

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

}  // namespace

bool ParameterSpec::is_stored() const {
  return shape.size() >= 2 && name != "model.embed_tokens.weight" && !name.ends_with(".mlp.gate.weight");
}

std::vector<ParameterSpec> parameter_specs(const ModelConfig& config) { return list_parameters(config).specs; }
std::vector<ParameterSpec> buffer_specs(const ModelConfig& config) { return list_buffers(config).specs; }
int64_t numbers_of(const std::vector<ParameterSpec>& specs) { return specs.empty() ? 0 : specs.back().offset + specs.back().numel; }

}  // namespace finback
