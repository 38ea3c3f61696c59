#include "model/model_config_rope.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "base/fields.h"
#include "model/config_keys.h"
#include "model/rope_table.h"

namespace finback {
namespace {

bool given(const Json& json, const char* key) { return json.contains(key) && !json[key].is_null(); }

// "yarn", "default", or a scaling that is not built. A type that scales by a factor of 1 is the default; deepseek_yarn is what serving engines make of yarn.
std::string rope_type(ConfigKeyReader& reader) {
  const Json& rope = reader.json;
  const std::string& place = reader.what;
  const char* key = given(rope, "rope_type") ? "rope_type" : "type";
  std::string type = given(rope, key) ? json_string(rope, key, place).substr(0, 60) : "default";
  if (type == "deepseek_yarn") type = "yarn";
  if (given(rope, "type")) {
    std::string other = json_string(rope, "type", place).substr(0, 60);
    if (other == "deepseek_yarn") other = "yarn";
    FB_CHECK(other == type, "{}: rope_type and type: expected equal values, got \"{}\" and \"{}\"", place, type, other);
  }
  const bool by_one = given(rope, "factor") && rope["factor"].is_number() && rope["factor"] == 1;
  if ((type == "linear" || type == "dynamic" || type == "llama3") && by_one) return "default";
  if (type != "yarn" && type != "default") reader.unbuilt.push_back(fmt::format("{}: expected yarn or default, got \"{}\"", key, type));
  return type;
}

// Keys of other software, with the one value that changes nothing here.
void check_neutral(ConfigKeyReader& reader) {
  for (const char* name : {"partial_rotary_factor", "extrapolation_factor", "attn_factor"}) reader.built(name, 1);
  for (const char* name : {"truncate", "apply_yarn_scaling"}) reader.built(name, true);
  bool finetuned = false;  // a note of the YaRN authors' own code
  reader("finetuned", finetuned, 0, 0);
}

// DeepSeek's code and transformers read a lone mscale differently; with both keys, or neither, they agree. mscale 1 without the other is transformers'
// default for neither, and a factor of 1 scales nothing.
void read_mscale(ConfigKeyReader& reader, YarnConfig& yarn) {
  std::optional<double> mscale, all_dim;
  reader("mscale", mscale, 0, 1e3);
  reader("mscale_all_dim", all_dim, 0, 1e3);
  yarn.mscale = 1, yarn.mscale_all_dim = 0;
  if (yarn.factor == 1) return;
  const bool neither = (!mscale || *mscale == 1) && (!all_dim || *all_dim == 0);
  const auto text = [](const std::optional<double>& value) { return value ? fmt::format("{}", *value) : "none"; };
  if (!neither && (mscale.value_or(0) <= 0 || all_dim.value_or(0) <= 0)) {
    reader.unbuilt.push_back(fmt::format(
        "expected mscale and mscale_all_dim, both above 0, or neither (alone, DeepSeek's code and transformers read them differently), got "
        "{} and {}",
        text(mscale), text(all_dim)));
    return;
  }
  if (!neither) yarn.mscale = *mscale, yarn.mscale_all_dim = *all_dim;
}

// 4096.0 is a length too.
std::optional<int64_t> whole_length(ConfigKeyReader& reader) {
  std::optional<double> length;
  reader("original_max_position_embeddings", length, 1, 1e9);
  FB_CHECK(!length || *length == std::floor(*length), "{}: original_max_position_embeddings: expected an integer, got {}", reader.what,
           length.value_or(0));
  return length ? std::optional(int64_t(*length)) : std::nullopt;
}

YarnConfig read_yarn(ConfigKeyReader& reader, const ModelConfig& config) {
  const std::string& place = reader.what;
  FB_CHECK(given(reader.json, "factor"), "{}: expected a number in \"factor\", got none", place);
  YarnConfig yarn;
  reader("factor", yarn.factor, 1, 1e6);
  yarn.original_max_position_embeddings = double(whole_length(reader).value_or(config.max_position_embeddings));
  reader("beta_fast", yarn.beta_fast, 1e-6, 1e6);
  reader("beta_slow", yarn.beta_slow, 1e-6, 1e6);
  read_mscale(reader, yarn);
  std::optional<double> attention_factor;
  reader("attention_factor", attention_factor, 0, 1e6);
  const double own = yarn_mscale(yarn.factor, yarn.mscale) / yarn_mscale(yarn.factor, yarn.mscale_all_dim);
  if (attention_factor && std::abs(*attention_factor - own) > 1e-6 * own)
    reader.unbuilt.push_back(fmt::format("attention_factor: expected {} as mscale has it, got {}", own, *attention_factor));
  return yarn;
}

// Plain RoPE says what it is by its type: the keys of YaRN beside it mean nothing, but for a factor.
void read_default(ConfigKeyReader& reader) {
  const Json* factor = reader.find("factor");
  FB_CHECK(!factor || *factor == 1 || given(reader.json, "rope_type") || given(reader.json, "type"),
           "{}: expected a rope_type (yarn) beside factor {}, got none", reader.what, shown(*factor));
  for (const char* name : {"factor", "attention_factor"}) reader.built(name, 1);
  std::optional<double> unused;
  for (const char* name :
       {"original_max_position_embeddings", "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "low_freq_factor", "high_freq_factor"})
    reader(name, unused, 0, 1e9);
}

// One of the two objects: its yarn (absent: plain RoPE), and its rope_theta into `theta` when it has one.
std::optional<YarnConfig> parse_rope_object(const Json& rope, const std::string& place, const std::string& key, const ModelConfig& config,
                                            std::optional<double>& theta, std::vector<std::string>& unbuilt) {
  ConfigKeyReader reader{rope, place, {"type", "rope_type"}};
  double own_theta = 0;
  reader("rope_theta", own_theta, 1e-6, 1e15);
  FB_CHECK(own_theta == 0 || !theta || own_theta == *theta, "{}: rope_theta: expected {} as elsewhere in this file, got {}", place,
           theta.value_or(0), own_theta);
  if (own_theta != 0) theta = own_theta;
  check_neutral(reader);
  std::optional<YarnConfig> yarn;
  const std::string type = rope_type(reader);
  if (type == "yarn") yarn = read_yarn(reader, config);
  if (type == "default") read_default(reader);
  const bool known_type = yarn || type == "default";  // the keys of another scaling are its own
  for (const auto& [name, value] : rope.items()) {
    const bool listed = std::find(reader.known.begin(), reader.known.end(), name) != reader.known.end();
    if (known_type && !listed && !value.is_null()) fail_unknown_key(name.substr(0, 60), place, reader.known);
  }
  for (const std::string& line : reader.unbuilt) unbuilt.push_back(key + ": " + line);
  return yarn;
}

bool same_yarn(const std::optional<YarnConfig>& a, const std::optional<YarnConfig>& b) {
  const auto values = [](const YarnConfig& y) {
    return std::tuple(y.factor, y.original_max_position_embeddings, y.beta_fast, y.beta_slow, y.mscale, y.mscale_all_dim);
  };
  return a.has_value() == b.has_value() && (!a || values(*a) == values(*b));
}

}  // namespace

const std::vector<std::string>& rope_keys() {
  static const std::vector<std::string> keys = {"rope_scaling", "rope_parameters", "partial_rotary_factor",
                                                "original_max_position_embeddings"};
  return keys;
}

void parse_rope(const Json& json, const std::string& what, ModelConfig& config, std::vector<std::string>& unbuilt) {
  ConfigKeyReader reader{json, what, {}};
  reader.built("partial_rotary_factor", 1);
  unbuilt.insert(unbuilt.end(), reader.unbuilt.begin(), reader.unbuilt.end());
  std::optional<double> theta;
  if (given(json, "rope_theta")) theta = config.rope_theta;
  bool found = false;
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    if (!given(json, key)) continue;
    const std::string place = fmt::format("{}: {}", what, key);
    FB_CHECK(json[key].is_object(), "{}: expected an object or null, got {}", place, shown(json[key]));
    if (json[key].empty()) continue;
    const auto yarn = parse_rope_object(json[key], place, key, config, theta, unbuilt);
    FB_CHECK(!found || same_yarn(yarn, config.rope_scaling), "{}: rope_scaling and rope_parameters: expected the same values in both",
             what);
    config.rope_scaling = yarn;
    found = true;
  }
  if (theta) config.rope_theta = *theta;
  const std::optional<int64_t> length = whole_length(reader);  // transformers lets it win over the one inside
  FB_CHECK(!length || !config.rope_scaling || double(*length) == config.rope_scaling->original_max_position_embeddings,
           "{}: original_max_position_embeddings: expected {} as in the rope keys, got {}", what,
           config.rope_scaling->original_max_position_embeddings, *length);
}

Json dump_rope(const ModelConfig& config) {
  if (!config.rope_scaling) return nullptr;
  const YarnConfig& y = *config.rope_scaling;
  return {{"type", "yarn"},
          {"factor", y.factor},
          {"original_max_position_embeddings", int64_t(y.original_max_position_embeddings)},
          {"beta_fast", y.beta_fast},
          {"beta_slow", y.beta_slow},
          {"mscale", y.mscale},
          {"mscale_all_dim", y.mscale_all_dim}};
}

}  // namespace finback
