#include "cost/other_model.h"

#include <algorithm>

#include "cost/shape_keys.h"
#include "model/model_family.h"
#include "model/other_families.h"

namespace finback {
namespace {

constexpr int64_t kMaxDim = int64_t{1} << 20, kMaxWide = int64_t{1} << 24, kMaxCount = 65536, kMaxLayers = 4096;

// What is known of a family beside its keys; of an unknown one its keys are all there is.
OtherFamily family_of(const ShapeKeys& keys, std::vector<std::string>& missing) {
  const std::string type = model_type_of(keys.json, keys.what);
  const bool latent = keys.find("kv_lora_rank") != nullptr;
  OtherFamily family{.model_type = type, .mla = latent};
  if (const auto ours = model_family(keys.json, keys.what)) {
    const bool v3 = ours == ModelFamily::kDeepseekV3;
    family.mla = true, family.router_bias = v3, family.dense_first = v3 ? 3 : 0;
    return family;
  }
  for (const OtherFamily& known : other_families()) {
    if (known.model_type != type) continue;
    FB_CHECK(known.mla == latent, "{}: model_type {}: expected {} kv_lora_rank", keys.what, type, known.mla ? "a" : "no");
    return known;
  }
  missing.push_back("model_type " + type +
                    " is not known: counted from the shapes that its keys give, without norms, biases and parts that its code adds");
  family.router_bias = keys.find("topk_method") && *keys.find("topk_method") == "noaux_tc";
  family.reads_mlp_bias = true;
  if (keys.find("qkv_bias")) family.bias_key = "qkv_bias";
  return family;
}

void read_attention(const ShapeKeys& keys, const OtherFamily& family, ModelShape& s) {
  s.heads = keys.needed("num_attention_heads", kMaxCount);
  if (family.mla) {
    s.kv_heads = s.heads;
    s.q_rank = keys.integer("q_lora_rank", 0, kMaxDim), s.kv_rank = keys.needed("kv_lora_rank", kMaxDim);
    s.rope_dim = keys.needed("qk_rope_head_dim", kMaxCount), s.value_dim = keys.needed("v_head_dim", kMaxCount);
    s.head_dim = keys.needed("qk_nope_head_dim", kMaxCount) + s.rope_dim;
    return;
  }
  s.kv_heads = keys.find("num_key_value_heads") ? keys.needed("num_key_value_heads", s.heads) : s.heads;
  FB_CHECK(s.heads % s.kv_heads == 0, "{}: num_key_value_heads: expected a divisor of num_attention_heads = {}, got {}", keys.what, s.heads,
           s.kv_heads);
  s.head_dim = keys.find("head_dim") ? keys.needed("head_dim", kMaxCount) : family.head_dim;
  FB_CHECK(s.head_dim > 0 || s.d_model % s.heads == 0,
           "{}: num_attention_heads: expected a divisor of hidden_size = {} where head_dim is absent, got {}", keys.what, s.d_model,
           s.heads);
  if (s.head_dim == 0) s.head_dim = s.d_model / s.heads;
  s.value_dim = s.head_dim;
}

// Which layers of an MoE model have a dense FFN: a list of words, Qwen's step and exceptions, or DeepSeek's first layers and frequency.
int64_t count_dense_layers(const ShapeKeys& keys, const OtherFamily& family, int64_t layers) {
  if (keys.list("mlp_layer_types")) return layers - keys.layers_with("mlp_layer_types", layers, {"sparse", "moe"});
  const int64_t first = keys.integer("first_k_dense_replace", family.dense_first, kMaxLayers);
  const int64_t every = std::max<int64_t>(1, keys.integer("moe_layer_freq", 1, kMaxLayers));
  const int64_t step = std::max<int64_t>(1, keys.integer("decoder_sparse_step", 1, kMaxLayers));
  const Json* dense_ones = keys.list("mlp_only_layers");
  int64_t dense = 0;
  for (int64_t layer = 0; layer < layers; ++layer) {
    const bool listed = dense_ones && std::find(dense_ones->begin(), dense_ones->end(), Json(layer)) != dense_ones->end();
    dense += layer < first || layer % every != 0 || (layer + 1) % step != 0 || listed;
  }
  return dense;
}

// Qwen's shared expert has a width of its own, which need not be a multiple of the others'.
int64_t shared_width(const ShapeKeys& keys, const OtherFamily& family) {
  return keys.integer("shared_expert_intermediate_size", family.shared_width, kMaxWide);
}

void read_ffn(const ShapeKeys& keys, const OtherFamily& family, ModelShape& s) {
  s.experts = keys.alias({"n_routed_experts", "num_experts", "num_local_experts"}, kMaxCount);
  if (s.experts > 0) {
    s.dense_layers = count_dense_layers(keys, family, s.layers);
    s.top_k = keys.needed("num_experts_per_tok", s.experts);
    s.d_expert = keys.needed(keys.find("moe_intermediate_size") ? "moe_intermediate_size" : "intermediate_size", kMaxWide);
    s.shared_experts = keys.alias({"n_shared_experts", "num_shared_experts"}, 1024);
    s.expert_bias = family.router_bias;
    if (const int64_t width = shared_width(keys, family); width > 0) s.shared_experts = width / s.d_expert;
  }
  if (s.experts == 0 || s.dense_layers > 0) s.d_ffn = keys.needed("intermediate_size", kMaxWide);
}

// wq_b, wk, weights_proj, and the LayerNorm of the key.
int64_t indexer_of_layer(const ShapeKeys& keys, const ModelShape& s) {
  if (!s.is_mla() || !keys.find("index_topk")) return 0;
  const int64_t heads = keys.needed("index_n_heads", kMaxCount), dim = keys.needed("index_head_dim", kMaxCount);
  FB_CHECK(s.q_rank > 0, "{}: q_lora_rank: expected a rank, which the indexer reads, got none", keys.what);
  FB_CHECK(double(s.q_rank) * double(heads) * double(dim) * double(s.layers + s.mtp) < kMostParameters,
           "{}: index_n_heads * index_head_dim: expected an indexer of fewer than {:.0e} parameters", keys.what, kMostParameters);
  return s.q_rank * heads * dim + s.d_model * (dim + heads) + 2 * dim;
}

// Of one layer, the gate of the shared expert apart.
OtherParts parts_of_layer(const ShapeKeys& keys, const OtherFamily& family, const ModelShape& s) {
  OtherParts p;
  const bool bias = family.bias_key.empty() ? family.q_k_v_bias : keys.boolean(family.bias_key.c_str(), family.q_k_v_bias);
  if (bias && s.is_mla()) p.biases = s.q_rank + s.kv_rank + s.rope_dim + s.d_model;
  if (bias && !s.is_mla()) p.biases = (s.heads + 2 * s.kv_heads) * s.head_dim + (family.o_bias ? s.d_model : 0);
  if (family.reads_mlp_bias && keys.boolean("mlp_bias", false) && !s.is_moe()) p.biases += 2 * s.d_ffn + s.d_model;
  if (keys.boolean("use_qk_norm", family.q_k_norm)) p.head_norms = 2 * s.head_dim;
  p.indexer = indexer_of_layer(keys, s);
  return p;
}

// In GLM-5 several layers go by the choice of one indexer.
int64_t indexed_layers(const ShapeKeys& keys, int64_t layers) {
  if (keys.list("indexer_types")) return keys.layers_with("indexer_types", layers, {"full"});
  const int64_t every = std::max<int64_t>(1, keys.integer("index_topk_freq", 1, kMaxLayers));
  const int64_t offset = keys.integer("index_skip_topk_offset", 2, kMaxLayers);
  int64_t full = 0;
  for (int64_t layer = 0; layer < layers; ++layer) full += std::max<int64_t>(layer - offset + 1, 0) % every == 0;
  return full;
}

// Parts that keys tell of and that no count covers.
void note_missing(const ShapeKeys& keys, const ModelShape& s, std::vector<std::string>& missing) {
  for (const char* key : {"vision_config", "audio_config", "speech_config", "encoder_config", "projector_config"}) {
    if (keys.find(key)) missing.push_back(std::string(key) + ": its parameters are not counted");
  }
  if (keys.list("layer_types") && keys.list("layer_types")->size() == size_t(s.layers)) {
    const int64_t plain =
        keys.layers_with("layer_types", s.layers, {"full_attention", "sliding_attention", "chunked_attention", "indexed_attention"});
    if (plain < s.layers)
      missing.push_back(fmt::format("layer_types: {} of {} layers have no attention of a known kind and are counted as if they had",
                                    s.layers - plain, s.layers));
  }
  for (const auto& [key, value] : keys.json.items()) {
    if (key.starts_with("mamba_") || key.starts_with("ssm_") || key.starts_with("linear_num_"))
      missing.push_back(key.substr(0, 60) + ": state-space and linear-attention parts are not counted");
  }
}

OtherParts times(const OtherParts& p, int64_t layers) { return {p.biases * layers, p.head_norms * layers, p.indexer * layers, 0, 0}; }

// The object that describes the language model of one that sees or hears as well.
std::string text_key(const Json& json) {
  for (const char* key : {"text_config", "language_config", "llm_config"}) {
    if (json.contains(key) && json[key].is_object() && !json.contains("hidden_size")) return key;
  }
  return "";
}

// Of DeepseekV2 and V3 in transformers 5.23 (tools/parity_config): of the two only V2 reads mlp_bias, for shared experts too.
int64_t ffn_biases(const ModelShape& s, int64_t dense_layers, int64_t moe_layers) {
  const int64_t shared = s.shared_experts > 0 ? 2 * s.shared_experts * s.d_expert + s.d_model : 0;
  return dense_layers * (2 * s.d_ffn + s.d_model) + moe_layers * shared;
}

}  // namespace

OtherModel count_unbuilt_model(const ModelConfig& config, std::vector<std::string> unbuilt, const Json& json, const std::string& what) {
  const ShapeKeys keys{json, what};
  const bool v2 = model_family(json, what) == ModelFamily::kDeepseekV2;
  OtherModel model;
  model.model_type = config.model_type;
  model.shape = shape_of(config);
  model.unbuilt = std::move(unbuilt);
  ModelShape& s = model.shape;
  if (s.is_moe() && config.moe_layer_freq > 1) {
    OtherFamily family;
    family.dense_first = config.first_k_dense_replace;
    s.dense_layers = count_dense_layers(keys, family, s.layers);
    model.missing.push_back("moe_layer_freq: counted as DeepSeek's code reads it; transformers' classes read no such key");
  }
  if (keys.boolean("attention_bias", false)) {
    const int64_t layer = s.q_rank + s.kv_rank + s.rope_dim + s.d_model;
    model.layers.biases = layer * s.layers, model.mtp.biases = layer * s.mtp;
  }
  if (keys.boolean("mlp_bias", false) && v2) {
    model.layers.biases += ffn_biases(s, s.plain_ffn_layers(), s.moe_layers());
    model.mtp.biases += ffn_biases(s, s.is_moe() ? 0 : s.mtp, s.is_moe() ? s.mtp : 0);
  } else if (keys.boolean("mlp_bias", false)) {
    model.missing.push_back("mlp_bias: transformers' DeepseekV3 reads no such key; no bias is counted");
  }
  return model;
}

std::vector<NamedCount> OtherModel::parts() const {
  std::vector<NamedCount> parts = named_counts(count_parameters(shape));
  parts.back().count += mtp.total();  // mtp_modules
  const NamedCount beside[] = {
      {"biases", layers.biases}, {"head_norms", layers.head_norms}, {"indexer", layers.indexer}, {"shared_gates", layers.shared_gate}};
  for (NamedCount& part : parts) {
    if (part.name == std::string("shared_experts")) part.count += layers.shared_rest;
  }
  for (const NamedCount& part : beside) {
    if (part.count > 0) parts.insert(parts.end() - 1, part);
  }
  return parts;
}

bool is_other_model(const Json& json, const std::string& what) {
  if (!text_key(json).empty() && !json.contains("model_type")) return true;
  return !model_family(json, what) || !text_key(json).empty();
}

OtherModel read_other_model(const Json& json, const std::string& what) {
  FB_CHECK(json.is_object(), "{}: expected an object, got {}", what, json.type_name());
  if (const std::string key = text_key(json); !key.empty()) {
    if (json.contains("model_type")) model_family(json, what);  // refuses by name what is not known
    const std::string place = what + ": " + key;
    OtherModel model = read_other_model(json[key], place);
    note_missing({json, what}, model.shape, model.missing);
    return model;
  }
  OtherModel model;
  const ShapeKeys keys{json, what};
  const OtherFamily family = family_of(keys, model.missing);
  ModelShape& s = model.shape;
  s.name = model.model_type = family.model_type;
  s.vocab = keys.needed("vocab_size", kMaxWide), s.d_model = keys.needed("hidden_size", kMaxDim);
  s.layers = s.attention_layers = s.ffn_layers = keys.needed("num_hidden_layers", kMaxLayers);
  s.tied = keys.boolean("tie_word_embeddings", false);
  s.mtp = keys.alias({"num_nextn_predict_layers", "num_mtp_layers"}, 64);
  read_attention(keys, family, s);
  read_ffn(keys, family, s);
  check_countable(s);
  const OtherParts layer = parts_of_layer(keys, family, s);
  model.layers = times(layer, s.layers), model.mtp = times(layer, s.mtp);
  if (layer.indexer > 0) model.layers.indexer = layer.indexer * indexed_layers(keys, s.layers);
  if (family.gated_shared) model.layers.shared_gate = s.moe_layers() * s.d_model;
  if (s.is_moe()) model.layers.shared_rest = s.moe_layers() * 3 * s.d_model * (shared_width(keys, family) % s.d_expert);
  note_missing(keys, s, model.missing);
  return model;
}

}  // namespace finback
