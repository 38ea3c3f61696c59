#include "model/model_config.h"

#include <algorithm>
#include <cctype>
#include <map>

#include "base/edit_distance.h"
#include "base/fields.h"
#include "base/notice.h"
#include "model/config_json.h"
#include "model/config_keys.h"
#include "model/generic_keys.h"
#include "model/model_config_rope.h"
#include "model/model_config_rules.h"
#include "model/model_family.h"
#include "model/stored_quantization.h"
#include "model/transformers_class.h"

namespace finback {
namespace {

constexpr int64_t kMaxDim = int64_t{1} << 20, kMaxWide = int64_t{1} << 24;
constexpr const char* kDropoutKey = "attention_dropout";
constexpr uintmax_t kMaxFileBytes = 1 << 18;  // published ones have 2 KiB; the JSON reader takes quadratic time in the number of keys

// The one list of keys that are plain numbers, words and switches: name, field, range.
template <class Config, class V>
void list_fields(Config& c, V&& v) {
  v("vocab_size", c.vocab_size, 1, kMaxWide);
  v("hidden_size", c.hidden_size, 1, kMaxDim);
  v("num_hidden_layers", c.num_hidden_layers, 1, 4096);
  v("num_attention_heads", c.num_attention_heads, 1, 65536);
  v("q_lora_rank", c.q_lora_rank, 1, kMaxDim);
  v("kv_lora_rank", c.kv_lora_rank, 1, kMaxDim);
  v("qk_nope_head_dim", c.qk_nope_head_dim, 1, 65536);
  v("qk_rope_head_dim", c.qk_rope_head_dim, 2, 65536);
  v("v_head_dim", c.v_head_dim, 1, 65536);
  v("intermediate_size", c.intermediate_size, 0, kMaxWide);
  v("moe_intermediate_size", c.moe_intermediate_size, 0, kMaxWide);
  v("n_routed_experts", c.n_routed_experts, 0, 65536);
  v("n_shared_experts", c.n_shared_experts, 0, 1024);
  v("num_experts_per_tok", c.num_experts_per_tok, 0, 65536);
  v("first_k_dense_replace", c.first_k_dense_replace, 0, 4096);
  v("moe_layer_freq", c.moe_layer_freq, 0, 4096);
  v("n_group", c.n_group, 0, 65536);
  v("topk_group", c.topk_group, 0, 65536);
  v("topk_method", c.topk_method, 0, 0);
  v("scoring_func", c.scoring_func, 0, 0);
  v("norm_topk_prob", c.norm_topk_prob, 0, 0);
  v("routed_scaling_factor", c.routed_scaling_factor, 1e-6, 1e6);
  v("num_nextn_predict_layers", c.num_nextn_predict_layers, 0, 64);
  v("rope_theta", c.rope_theta, 1e-6, 1e15);
  v("rope_interleave", c.rope_interleave, 0, 0);
  v("max_position_embeddings", c.max_position_embeddings, 0, int64_t{1} << 27);
  v("rms_norm_eps", c.rms_norm_eps, 1e-30, 1);
  v("initializer_range", c.initializer_range, 0, 10);
  v("tie_word_embeddings", c.tie_word_embeddings, 0, 0);
  v("torch_dtype", c.torch_dtype, 0, 0);
  v("bos_token_id", c.bos_token_id, 0, int64_t{1} << 31);
  v("eos_token_id", c.eos_token_id, 0, int64_t{1} << 31);
}

// Keys whose value changes the arithmetic: only the one that the family uses is computed.
struct FixedKey {
  const char* name;
  Json value;
  bool written;
};
const std::vector<FixedKey>& fixed_keys() {
  static const std::vector<FixedKey> keys = {{"hidden_act", "silu", true}, {"attention_bias", false, true}, {"mlp_bias", false, false}};
  return keys;
}

void check_fixed(ConfigKeyReader& reader, const ModelConfig& config) {
  const Json* act = reader.find("hidden_act");
  for (const FixedKey& key : fixed_keys()) {
    if (act && *act == "swish" && key.value == "silu") continue;  // another name of it
    reader.built(key.name, key.value);
  }
  if (config.moe_layer_freq != 1) reader.unbuilt.push_back(fmt::format("moe_layer_freq: expected 1, got {}", config.moe_layer_freq));
  reader.fixed("pruned_heads", Json::object());  // another shape, which no key tells
  reader.fixed("is_encoder_decoder", false);
  reader.fixed("num_key_value_heads", config.num_attention_heads);
  reader.fixed("qk_head_dim", config.qk_head_dim());
}

// Of training alone: what is computed from weights is the same with it and without. Kept, so that whoever trains sees it.
void take_attention_dropout(ConfigKeyReader& reader, ModelConfig& config) {
  double share = 0;
  reader(kDropoutKey, share, 0, 1);
  if (share > 0) config.other[kDropoutKey] = reader.json[kDropoutKey];
}

// Unknown keys stay; a slip of a known one is a mistake: a letter or two, or more where the key itself is absent. The bounds keep a hostile file from
// costing more than its reading.
void keep_unknown(const Json& json, const std::string& what, ModelConfig& config, const std::vector<std::string>& known) {
  constexpr size_t kSlip = 2;
  std::vector<std::string> absent;
  for (const std::string& key : known) {
    if (!json.contains(key)) absent.push_back(key);
  }
  for (const auto& [key, value] : json.items()) {
    if (std::find(known.begin(), known.end(), key) != known.end() || is_derived_key(key)) continue;
    FB_CHECK(key.size() <= 128 && config.other.size() < 512, "{}: expected at most 512 unknown keys of at most 128 bytes, got \"{}\"", what,
             key.substr(0, 60));
    const std::string near = is_generic_key(key) ? "" : nearest_word(key, known);
    const bool slip = !near.empty() && (edit_distance(key, near) <= kSlip || !nearest_word(key, absent).empty());
    if (slip) fail_unknown_key(key, what, known);
    config.other[key] = value;
  }
}

// What an absent key means to transformers (DeepseekV3Config and DeepseekV2Config of its release 5).
ModelConfig family_defaults(const Json& json, const std::string& what) {
  const std::optional<ModelFamily> family = model_family(json, what);
  if (!family) fail_other_family(json, what);
  ModelConfig c;
  c.model_type = model_type_of(json, what);
  c.q_lora_rank = 1536, c.kv_lora_rank = 512, c.qk_nope_head_dim = 128, c.qk_rope_head_dim = 64, c.v_head_dim = 128;
  if (family == ModelFamily::kDeepseekV2) {
    c.model_type = "deepseek_v2";
    c.vocab_size = 102400, c.hidden_size = 4096, c.num_hidden_layers = 32, c.num_attention_heads = 32;
    c.intermediate_size = 11008, c.moe_intermediate_size = 1407;
    c.n_routed_experts = 64, c.n_shared_experts = 2;
    c.topk_method = "greedy", c.scoring_func = "softmax", c.norm_topk_prob = false;
    c.max_position_embeddings = 2048;
    c.bos_token_id = 1, c.eos_token_id = 2;
  } else {
    c.vocab_size = 129280, c.hidden_size = 7168, c.num_hidden_layers = 61, c.num_attention_heads = 128;
    c.intermediate_size = 18432, c.moe_intermediate_size = 2048;
    c.n_routed_experts = 256, c.n_shared_experts = 1, c.num_experts_per_tok = 8, c.first_k_dense_replace = 3;
    c.n_group = 8, c.topk_group = 4, c.routed_scaling_factor = 2.5;
    c.num_nextn_predict_layers = 1;
    c.bos_token_id = 0, c.eos_token_id = 1;
  }
  return c;
}

// Older, newer and transformers' names of one key; null counts as absent. The one that is read comes first.
const std::vector<std::pair<const char*, const char*>>& aliases() {
  static const std::vector<std::pair<const char*, const char*>> names = {{"torch_dtype", "dtype"},
                                                                         {"num_nextn_predict_layers", "num_mtp_layers"},
                                                                         {"n_routed_experts", "num_local_experts"},
                                                                         {"n_routed_experts", "num_experts"}};
  return names;
}

void read_alias(Json& json, const std::string& what, const char* name, const char* alias) {
  const auto found = json.find(alias);
  if (found == json.end() || found->is_null()) return;
  const Json value = *found;
  if (!json.contains(name) || json[name].is_null()) json[name] = value;
  FB_CHECK(json[name] == value, "{}: {} and {}: expected equal values, got {} and {}", what, name, alias, shown(json[name]), shown(value));
}

// eos_token_id may be a list: its first one becomes the field, and the list is kept as it was.
void take_eos_list(Json& json, const std::string& what, ModelConfig& config) {
  const auto found = json.find("eos_token_id");
  if (found == json.end() || !found->is_array()) return;
  for (const Json& id : *found) json_integer({{"eos_token_id", id}}, "eos_token_id", what, 0, int64_t{1} << 31);
  if (found->size() > 1) config.other["eos_token_id"] = *found;
  const Json first = found->empty() ? Json() : found->front();
  *found = first;
}

// torch's name of a type that people also spell in other ways.
std::string torch_name_of(std::string dtype) {
  if (dtype.starts_with("torch.")) dtype = dtype.substr(6);
  std::transform(dtype.begin(), dtype.end(), dtype.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  static const std::map<std::string, std::string> names = {
      {"bf16", "bfloat16"}, {"fp16", "float16"},  {"f16", "float16"},  {"half", "float16"}, {"fp32", "float32"},
      {"f32", "float32"},   {"float", "float32"}, {"fp64", "float64"}, {"f64", "float64"},  {"double", "float64"}};
  const auto found = names.find(dtype);
  return found == names.end() ? dtype : found->second;
}

// Two words for how numbers are stored; the newer one counts where they differ.
void settle_dtypes(Json& json, const std::string& what) {
  for (const char* key : {"torch_dtype", "dtype"}) {
    if (json.contains(key) && json[key].is_string()) json[key] = torch_name_of(json[key].get<std::string>());
  }
  if (!json.contains("dtype") || !json.contains("torch_dtype") || json["dtype"].is_null() || json["torch_dtype"] == json["dtype"]) return;
  if (!json["torch_dtype"].is_null())
    notice_once(fmt::format("{}: torch_dtype {} and dtype {}: the second counts", what, shown(json["torch_dtype"]), shown(json["dtype"])));
  json["torch_dtype"] = json["dtype"];
}

// How numbers are stored is read from the weights; the word is only carried on, so any that torch has will do.
void check_dtype(const std::string& dtype, const std::string& what) {
  for (const char* known : {"float32", "bfloat16", "float16", "float64", "auto", "int8", "uint8", "int4", "uint4"}) {
    if (dtype == known) return;
  }
  FB_CHECK(dtype.starts_with("float8_") || dtype.starts_with("float4_"),
           "{}: torch_dtype: expected float32, bfloat16 or float16, or another type of torch, got \"{}\"", what, dtype);
}

// Each key by itself; how they fit together: model_config_rules.h. `unbuilt`: see parse_countable_config().
ModelConfig read_model_config(const Json& given, const std::string& what, std::vector<std::string>& unbuilt) {
  FB_CHECK(given.is_object(), "{}: expected an object, got {}", what, given.type_name());
  Json json = given;
  settle_dtypes(json, what);
  for (const auto& [name, alias] : aliases()) read_alias(json, what, name, alias);
  ModelConfig config = family_defaults(json, what);
  take_eos_list(json, what, config);
  ConfigKeyReader reader{json, what, {"model_type", "architectures", "quantization_config", "compression_config"}};
  for (const auto& [name, alias] : aliases()) reader.known.push_back(alias);
  reader.known.insert(reader.known.end(), rope_keys().begin(), rope_keys().end());
  list_fields(config, reader);
  // Absent in a model of one or two layers: all of them are dense.
  if (!json.contains("first_k_dense_replace"))
    config.first_k_dense_replace = std::min(config.first_k_dense_replace, config.num_hidden_layers);
  for (const auto& [name, value] :
       {std::pair("n_group", &config.n_group), std::pair("topk_group", &config.topk_group),
        std::pair("moe_layer_freq", &config.moe_layer_freq), std::pair("max_position_embeddings", &config.max_position_embeddings)}) {
    if (reader.is_null(name) && std::string_view(name) != "max_position_embeddings") *value = 1;  // no groups, every layer
    FB_CHECK(*value >= 1, "{}: expected \"{}\" at least 1, got {}", what, name, *value);
  }
  // Their absence means a family's value; null is no value that transformers takes.
  for (const char* name : {"routed_scaling_factor", "rms_norm_eps", "topk_method", "scoring_func"})
    FB_CHECK(!reader.is_null(name), "{}: {}: expected a value, got null", what, name);
  for (const char* name : {"n_group", "topk_group"}) {
    FB_CHECK(config.topk_method != "group_limited_greedy" || config.n_routed_experts == 0 || (json.contains(name) && !json[name].is_null()),
             "{}: expected key \"{}\" beside topk_method group_limited_greedy, not there", what, name);
  }
  check_dtype(config.torch_dtype, what);
  parse_rope(json, what, config, reader.unbuilt);
  config.fp8_weights = quantization_fault(json, what) == "";
  check_fixed(reader, config);
  take_attention_dropout(reader, config);
  keep_unknown(json, what, config, reader.known);
  unbuilt = std::move(reader.unbuilt);
  return config;
}

ModelConfig read_built_config(const Json& json, const std::string& what) {
  std::vector<std::string> unbuilt;
  ModelConfig config = read_model_config(json, what, unbuilt);
  FB_CHECK(unbuilt.empty(), "{}: {}. Hint: finback inspect counts such a model; nothing computes it", what, fmt::join(unbuilt, "; "));
  return config;
}

}  // namespace

ModelConfig parse_model_config(const Json& json, const std::string& what) {
  ModelConfig config = read_built_config(json, what);
  check_model_config(config, what);
  return config;
}

ModelConfig parse_countable_config(const Json& json, const std::string& what, std::vector<std::string>& unbuilt) {
  ModelConfig config = read_model_config(json, what, unbuilt);
  check_model_config(config, what);
  return config;
}

Json read_config_json(const std::filesystem::path& path) {
  const std::filesystem::path file = std::filesystem::is_directory(path) ? path / "config.json" : path;
  std::error_code absent;
  const auto bytes = std::filesystem::file_size(file, absent);
  FB_CHECK(absent || bytes <= kMaxFileBytes, "{}: expected at most {} bytes, got {}", file.string(), kMaxFileBytes, bytes);
  Json json = read_json(file);
  FB_CHECK(json.is_object(), "{}: expected an object, got {}", file.string(), json.type_name());
  return json;
}

ModelConfig load_model_config(const std::filesystem::path& path) {
  const std::filesystem::path file = std::filesystem::is_directory(path) ? path / "config.json" : path;
  return parse_model_config(read_config_json(file), file.string());
}

Json settable_keys(const Json& given, const std::string& what) {
  const ModelConfig config = read_built_config(given, what);
  Json json = given;
  for (const auto& [name, alias] : aliases()) {
    read_alias(json, what, name, alias);
    json.erase(alias);
  }
  for (const std::string& key : rope_keys()) json.erase(key);
  json["rope_theta"] = config.rope_theta;
  json["rope_scaling"] = dump_rope(config);  // with its own length, which an override of max_position_embeddings is not to change
  for (const std::string& key : derived_keys()) json.erase(key);
  return json;
}

Json plain_model_keys() {
  Json json = dump_model_config(ModelConfig{});
  for (const char* key : {"architectures", "model_type", "num_key_value_heads"}) json.erase(key);
  return json;
}

Json dump_model_config(const ModelConfig& config) {
  Json json = Json::object();
  const std::string fit = transformers_class(config).model_type;
  const bool v2 = (fit.empty() ? config.model_type : fit) == "deepseek_v2";
  json["architectures"] = Json::array({v2 ? "DeepseekV2ForCausalLM" : "DeepseekV3ForCausalLM"});
  json["model_type"] = v2 ? "deepseek_v2" : "deepseek_v3";
  list_fields(config, ConfigKeyWriter{json});
  // A dense twin: layers of experts begin where the model ends, which transformers goes by.
  if (config.n_routed_experts == 0) json["first_k_dense_replace"] = config.num_hidden_layers;
  json["num_key_value_heads"] = config.num_attention_heads;
  for (const FixedKey& key : fixed_keys()) {
    if (key.written) json[key.name] = key.value;
  }
  json[kDropoutKey] = 0.0;  // unless `other` has one
  json["rope_scaling"] = dump_rope(config);
  if (config.fp8_weights) {
    json["quantization_config"] = {
        {"quant_method", "fp8"}, {"fmt", "e4m3"}, {"activation_scheme", "dynamic"}, {"weight_block_size", {128, 128}}};
  }
  for (const auto& [key, value] : config.other.items()) json[key] = value;
  return json;
}

}  // namespace finback
