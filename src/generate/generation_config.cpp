#include "generate/generation_config.h"

#include <algorithm>

#include "base/json.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

// The keys of one file; absent and null are the same.
struct GenerationKeys {
  const Json& json;
  std::string file;

  const Json* find(const char* key) const {
    const auto found = json.find(key);
    return found == json.end() || found->is_null() ? nullptr : &*found;
  }
  double number(const char* key, double fallback) const {
    const Json* value = find(key);
    FB_CHECK(!value || value->is_number(), "{}: expected a number in \"{}\", got {}", file, key, value->type_name());
    return value ? value->get<double>() : fallback;
  }
  bool boolean(const char* key, bool fallback) const {
    const Json* value = find(key);
    FB_CHECK(!value || value->is_boolean(), "{}: expected true or false in \"{}\", got {}", file, key, value->type_name());
    return value ? value->get<bool>() : fallback;
  }
  int64_t integer(const char* key, int64_t fallback) const { return find(key) ? json_integer(json, key, file, 0, INT32_MAX) : fallback; }
  std::vector<int32_t> ids(const char* key) const {
    const Json* value = find(key);
    if (!value) return {};
    std::vector<int32_t> ids;
    for (const Json& id : value->is_array() ? *value : Json::array({*value})) {
      FB_CHECK(id.is_number_integer() && id >= 0 && id <= INT32_MAX, "{}: expected a token id or a list of them in \"{}\", got {}", file,
               key, dump_json_line(*value).substr(0, 60));
      ids.push_back(id.get<int32_t>());
    }
    return ids;
  }
};

}  // namespace

GenerationConfig load_generation_config(const fs::path& folder) {
  GenerationConfig config;
  const fs::path path = folder / "generation_config.json";
  if (!fs::exists(path)) return config;
  const Json json = read_json(path);
  FB_CHECK(json.is_object(), "{}: expected an object, got {}", path.string(), json.type_name());
  const GenerationKeys keys{json, path.string()};
  config.eos_token_ids = keys.ids("eos_token_id");
  if (!keys.boolean("do_sample", true)) {
    config.sampling.temperature = 0;
    return config;
  }
  config.sampling.temperature = keys.number("temperature", config.sampling.temperature);
  config.sampling.top_p = keys.number("top_p", config.sampling.top_p);
  config.sampling.top_k = keys.integer("top_k", config.sampling.top_k);
  config.sampling.min_p = keys.number("min_p", config.sampling.min_p);
  return config;
}

std::vector<int32_t> stop_ids(const ModelConfig& model, const GenerationConfig& generation, const Tokenizer* tokenizer,
                              std::span<const int32_t> requested) {
  std::vector<int32_t> ids;
  const auto add = [&](int64_t id, const char* where) {
    FB_CHECK(id >= 0 && id < model.vocab_size, "{}: expected token ids below vocab_size {}, got {}", where, model.vocab_size, id);
    if (std::find(ids.begin(), ids.end(), int32_t(id)) == ids.end()) ids.push_back(int32_t(id));
  };
  if (model.eos_token_id) add(*model.eos_token_id, "config.json: eos_token_id");
  for (const int32_t id : generation.eos_token_ids) add(id, "generation_config.json: eos_token_id");
  if (ids.empty() && tokenizer && tokenizer->eos_id()) add(*tokenizer->eos_id(), "tokenizer: end-of-text token");
  for (const int32_t id : requested) add(id, "stop_token_ids");
  return ids;
}

}  // namespace finback
