#include "model/model_config.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "base/fields.h"
#include "model/model_config_rules.h"

namespace finback {
namespace {

constexpr int64_t kMaxDim = int64_t{1} << 20, kMaxWide = int64_t{1} << 24;
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

template <class Config, class V>
void list_yarn_fields(Config& y, V&& v) {
  v("factor", y.factor, 1, 1e6);
  v("original_max_position_embeddings", y.original_max_position_embeddings, 1, 1e9);
  v("beta_fast", y.beta_fast, 1e-6, 1e6);
  v("beta_slow", y.beta_slow, 1e-6, 1e6);
  v("mscale", y.mscale, 0, 1e3);
  v("mscale_all_dim", y.mscale_all_dim, 0, 1e3);
}

// Keys whose value changes the arithmetic: only the one that the family uses is accepted.
struct FixedKey {
  const char* name;
  Json value;
  bool written;
};
const std::vector<FixedKey>& fixed_keys() {
  static const std::vector<FixedKey> keys = {{"hidden_act", "silu", true},
                                             {"attention_bias", false, true},
                                             {"attention_dropout", 0.0, true},
                                             {"mlp_bias", false, false},
                                             {"index_topk", nullptr, false}};  // the sparse attention of V3.2
  return keys;
}

// Keys of published files that change nothing here: kept in `other`, and listed so that they are no near misses of ours.
const std::vector<std::string>& kept_keys() {
  static const std::vector<std::string> keys = {
      "architectures",        "auto_map",     "aux_loss_alpha",       "seq_aux",  "ep_size",      "pretraining_tp", "use_cache",
      "transformers_version", "pad_token_id", "output_router_logits", "head_dim", "_name_or_path"};
  return keys;
}

// Reads one listed key; an absent one leaves the field as it is. null: none of it for an integer that may be 0 or absent, no for a switch, and
// the same as absent for the rest.
struct KeyReader {
  const Json& json;
  const std::string& what;
  std::vector<std::string> known;

  const Json* find(const char* name) {
    known.push_back(name);
    const auto found = json.find(name);
    return found == json.end() || found->is_null() ? nullptr : &*found;
  }
  bool is_null(const char* name) const { return json.contains(name) && json[name].is_null(); }
  void operator()(const char* name, int64_t& value, int64_t low, int64_t high) {
    const bool none = low == 0 && is_null(name);
    if (find(name) || is_null(name)) value = none ? 0 : json_integer(json, name, what, low, high);
  }
  void operator()(const char* name, std::optional<int64_t>& value, int64_t low, int64_t high) {
    if (is_null(name)) value.reset();
    if (find(name)) value = json_integer(json, name, what, low, high);
  }
  void operator()(const char* name, double& value, double low, double high) {
    const Json* found = find(name);
    if (!found) return;
    FB_CHECK(found->is_number(), "{}: {}: expected a number, got {}", what, name, dump_json_line(*found).substr(0, 60));
    value = found->get<double>();
    FB_CHECK(value >= low && value <= high, "{}: {}: expected {} to {}, got {}", what, name, low, high, value);
  }
  void operator()(const char* name, bool& value, int, int) {
    const Json* found = find(name);
    if (is_null(name)) value = false;
    if (!found) return;
    FB_CHECK(found->is_boolean(), "{}: {}: expected true or false, got {}", what, name, dump_json_line(*found).substr(0, 60));
    value = found->get<bool>();
  }
  void operator()(const char* name, std::string& value, int, int) {
    if (find(name)) value = json_string(json, name, what).substr(0, 60);
  }
};

struct KeyWriter {
  Json& json;
  template <class T>
  void operator()(const char* name, const T& value, double, double) {
    if constexpr (std::is_same_v<T, std::optional<int64_t>>) {
      json[name] = value ? Json(*value) : Json(nullptr);
    } else {
      json[name] = value;
    }
  }
};

// One of the two objects that say how positions are rotated: its yarn (absent: plain RoPE), and its rope_theta into `theta` when it has one.
std::optional<YarnConfig> parse_rope_object(const Json& rope, const std::string& place, int64_t positions, std::optional<double>& theta) {
  FB_CHECK(rope.is_object(), "{}: expected an object or null, got {}", place, dump_json_line(rope).substr(0, 60));
  const char* type_key = rope.contains("rope_type") ? "rope_type" : "type";
  const std::string type = json_string(rope, type_key, place).substr(0, 60);
  FB_CHECK(type == "yarn" || type == "default", "{}: {}: expected yarn or default, got \"{}\"", place, type_key, type);
  KeyReader reader{rope, place, {"type", "rope_type"}};
  double own_theta = 0;
  reader("rope_theta", own_theta, 1e-6, 1e15);
  FB_CHECK(own_theta == 0 || !theta || own_theta == *theta, "{}: rope_theta: expected {} as elsewhere in this file, got {}", place,
           theta.value_or(0), own_theta);
  if (own_theta != 0) theta = own_theta;
  std::optional<YarnConfig> yarn;
  if (type == "yarn") {
    FB_CHECK(rope.contains("factor"), "{}: expected key \"factor\", not there", place);
    yarn.emplace();
    yarn->original_max_position_embeddings = double(positions);
    list_yarn_fields(*yarn, reader);
  }
  for (const auto& [name, value] : rope.items()) {
    const bool listed = std::find(reader.known.begin(), reader.known.end(), name) != reader.known.end();
    if (!listed && !value.is_null()) fail_unknown_key(name.substr(0, 60), place, reader.known);
  }
  return yarn;
}

bool same_yarn(const std::optional<YarnConfig>& a, const std::optional<YarnConfig>& b) {
  const auto values = [](const YarnConfig& y) {
    return std::tuple(y.factor, y.original_max_position_embeddings, y.beta_fast, y.beta_slow, y.mscale, y.mscale_all_dim);
  };
  return a.has_value() == b.has_value() && (!a || values(*a) == values(*b));
}

// rope_scaling (`type` or `rope_type`) beside a top-level rope_theta, or transformers' rope_parameters that holds rope_theta as well. What is
// said twice must be said alike.
void parse_rope(const Json& json, const std::string& what, ModelConfig& config) {
  const auto given = [&](const char* key) { return json.contains(key) && !json[key].is_null(); };
  std::optional<double> theta;
  if (given("rope_theta")) theta = config.rope_theta;
  bool found = false;
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!given(key)) continue;
    const auto yarn = parse_rope_object(json[key], fmt::format("{}: {}", what, key), config.max_position_embeddings, theta);
    FB_CHECK(!found || same_yarn(yarn, config.rope_scaling), "{}: rope_scaling and rope_parameters: expected the same values in both",
             what);
    config.rope_scaling = yarn;
    found = true;
  }
  if (theta) config.rope_theta = *theta;
}

void parse_quantization(const Json& json, const std::string& what, ModelConfig& config) {
  const auto found = json.find("quantization_config");
  if (found == json.end() || found->is_null()) return;
  const std::string place = what + ": quantization_config";
  const std::string method = json_string(*found, "quant_method", place).substr(0, 60);
  FB_CHECK(method == "fp8", "{}: quant_method: expected fp8, got \"{}\"", place, method);
  FB_CHECK(found->value("fmt", Json("e4m3")) == "e4m3", "{}: fmt: expected e4m3, got {}", place,
           dump_json_line((*found)["fmt"]).substr(0, 60));
  const Json& block = json_at(*found, "weight_block_size", place);
  FB_CHECK(block == Json({128, 128}), "{}: weight_block_size: expected [128, 128], got {}", place, dump_json_line(block).substr(0, 60));
  config.fp8_weights = true;
}

void check_fixed(const Json& json, const std::string& what, const ModelConfig& config, std::vector<std::string>& known) {
  const auto expect = [&](const char* name, const Json& value) {
    known.push_back(name);
    const auto found = json.find(name);
    FB_CHECK(found == json.end() || found->is_null() || *found == value, "{}: {}: expected {}, got {}", what, name, dump_json_line(value),
             dump_json_line(*found).substr(0, 60));
  };
  for (const FixedKey& key : fixed_keys()) expect(key.name, key.value);
  expect("num_key_value_heads", config.num_attention_heads);
  expect("qk_head_dim", config.qk_head_dim());
}

// Unknown keys stay; a near miss of a known one is a mistake. The bounds keep a hostile file from costing more than its reading.
void keep_unknown(const Json& json, const std::string& what, ModelConfig& config, std::vector<std::string> known) {
  const size_t ours = known.size();
  known.insert(known.end(), kept_keys().begin(), kept_keys().end());
  for (const auto& [key, value] : json.items()) {
    const auto found = std::find(known.begin(), known.end(), key);
    if (found != known.end() && found < known.begin() + std::ptrdiff_t(ours)) continue;
    FB_CHECK(key.size() <= 128 && config.other.size() < 256, "{}: expected at most 256 unknown keys of at most 128 bytes, got \"{}\"", what,
             key.substr(0, 60));
    if (found == known.end() && !nearest_word(key, known).empty()) fail_unknown_key(key, what, known);
    config.other[key] = value;
  }
}

// What an absent key means to transformers (DeepseekV3Config and DeepseekV2Config of its release 5).
ModelConfig family_defaults(const Json& json, const std::string& what) {
  ModelConfig c;
  c.model_type = json_string(json, "model_type", what).substr(0, 60);
  const bool v2 = c.model_type == "deepseek_v2";
  FB_CHECK(v2 || c.model_type == "deepseek_v3", "{}: model_type: expected deepseek_v2 or deepseek_v3, got \"{}\"", what, c.model_type);
  c.q_lora_rank = 1536, c.kv_lora_rank = 512, c.qk_nope_head_dim = 128, c.qk_rope_head_dim = 64, c.v_head_dim = 128;
  if (v2) {
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

// An older and a newer name of one key; null counts as absent.
void read_alias(Json& json, const std::string& what, const char* name, const char* alias) {
  const auto found = json.find(alias);
  if (found == json.end() || found->is_null()) return;
  const Json value = *found;
  if (!json.contains(name) || json[name].is_null()) json[name] = value;
  FB_CHECK(json[name] == value, "{}: {} and {}: expected equal values, got {} and {}", what, name, alias,
           dump_json_line(json[name]).substr(0, 60), dump_json_line(value).substr(0, 60));
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

}  // namespace

bool ModelConfig::is_moe_layer(int64_t layer) const {
  return n_routed_experts > 0 && (layer >= num_hidden_layers || layer >= first_k_dense_replace);
}

double ModelConfig::softmax_scale() const {
  const double scale = 1 / std::sqrt(double(qk_head_dim()));
  if (!rope_scaling || rope_scaling->factor <= 1) return scale;
  const double m = 0.1 * rope_scaling->mscale_all_dim * std::log(rope_scaling->factor) + 1;  // V2 section 3.1.4
  return scale * m * m;
}

ModelConfig parse_model_config(const Json& given, const std::string& what) {
  FB_CHECK(given.is_object(), "{}: expected an object, got {}", what, given.type_name());
  Json json = given;
  read_alias(json, what, "torch_dtype", "dtype");
  read_alias(json, what, "num_nextn_predict_layers", "num_mtp_layers");
  ModelConfig config = family_defaults(json, what);
  take_eos_list(json, what, config);
  KeyReader reader{json, what, {"model_type", "dtype", "num_mtp_layers", "rope_scaling", "rope_parameters", "quantization_config"}};
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
  const std::string& dtype = config.torch_dtype;
  FB_CHECK(dtype == "float32" || dtype == "bfloat16" || dtype == "float16",
           "{}: torch_dtype: expected float32, bfloat16 or float16, got \"{}\"", what, dtype);
  parse_rope(json, what, config);
  parse_quantization(json, what, config);
  check_fixed(json, what, config, reader.known);
  keep_unknown(json, what, config, reader.known);
  check_model_config(config, what);
  return config;
}

ModelConfig load_model_config(const std::filesystem::path& path) {
  const std::filesystem::path file = std::filesystem::is_directory(path) ? path / "config.json" : path;
  std::error_code absent;
  const auto bytes = std::filesystem::file_size(file, absent);
  FB_CHECK(absent || bytes <= kMaxFileBytes, "{}: expected at most {} bytes, got {}", file.string(), kMaxFileBytes, bytes);
  return parse_model_config(read_json(file), file.string());
}

Json plain_model_keys() {
  Json json = dump_model_config(ModelConfig{});
  for (const char* key : {"architectures", "model_type", "num_key_value_heads"}) json.erase(key);
  return json;
}

Json dump_model_config(const ModelConfig& config) {
  Json json = Json::object();
  const bool v2 = config.model_type == "deepseek_v2";
  json["architectures"] = Json::array({v2 ? "DeepseekV2ForCausalLM" : "DeepseekV3ForCausalLM"});
  json["model_type"] = config.model_type;
  list_fields(config, KeyWriter{json});
  json["num_key_value_heads"] = config.num_attention_heads;
  for (const FixedKey& key : fixed_keys()) {
    if (key.written) json[key.name] = key.value;
  }
  json["rope_scaling"] = nullptr;
  if (config.rope_scaling) {
    json["rope_scaling"] = {{"type", "yarn"}};
    list_yarn_fields(*config.rope_scaling, KeyWriter{json["rope_scaling"]});
  }
  if (config.fp8_weights) {
    json["quantization_config"] = {
        {"quant_method", "fp8"}, {"fmt", "e4m3"}, {"activation_scheme", "dynamic"}, {"weight_block_size", {128, 128}}};
  }
  for (const auto& [key, value] : config.other.items()) json[key] = value;
  return json;
}

}  // namespace finback
