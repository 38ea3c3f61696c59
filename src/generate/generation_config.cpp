#include "generate/generation_config.h"

#include <algorithm>

#include "base/json.h"
#include "base/notice.h"

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
      const bool whole =
          id.is_number_unsigned() ? id.get<uint64_t>() <= INT32_MAX : id.is_number_integer() && id.get<int64_t>() >= INT32_MIN;
      FB_CHECK(whole, "{}: expected a token id or a list of them in \"{}\", got {}", file, key, dump_json_line(*value).substr(0, 60));
      ids.push_back(id.get<int32_t>());
    }
    return ids;
  }
  std::vector<std::string> texts(const char* key) const {
    const Json* value = find(key);
    if (!value) return {};
    std::vector<std::string> texts;
    for (const Json& text : value->is_array() ? *value : Json::array({*value})) {
      FB_CHECK(text.is_string(), "{}: expected a text or a list of them in \"{}\", got {}", file, key,
               dump_json_line(*value).substr(0, 60));
      texts.push_back(text.get<std::string>());
    }
    return texts;
  }
  std::optional<int64_t> length(const char* key) const {
    if (!find(key)) return std::nullopt;
    return json_integer(json, key, file, 1, INT32_MAX);
  }
};

// Keys that are followed, and keys that change no answer.
constexpr std::string_view kKnownKeys[] = {"do_sample",
                                           "temperature",
                                           "top_p",
                                           "top_k",
                                           "min_p",
                                           "eos_token_id",
                                           "max_new_tokens",
                                           "max_length",
                                           "stop_strings",
                                           "bos_token_id",
                                           "pad_token_id",
                                           "use_cache",
                                           "cache_config",
                                           "compile_config",
                                           "cache_implementation",
                                           "output_attentions",
                                           "output_scores",
                                           "output_logits",
                                           "_commit_hash",
                                           "output_hidden_states",
                                           "_from_model_config",
                                           "low_memory",
                                           "disable_compile",
                                           "return_legacy_cache",
                                           "return_dict_in_generate",
                                           "transformers_version"};
// Those whose 1 asks for nothing. For all others null, false, 0, "" and what is empty ask for nothing.
constexpr std::string_view kNeutralOne[] = {
    "repetition_penalty", "encoder_repetition_penalty", "length_penalty", "typical_p", "num_beams", "num_beam_groups",
    "guidance_scale",     "num_return_sequences"};

bool asks_for_something(const std::string& key, const Json& value) {
  if (value.is_null() || value.empty() || value == "" || value == false) return false;
  if (!value.is_number()) return true;
  const bool neutral_one = std::find(std::begin(kNeutralOne), std::end(kNeutralOne), key) != std::end(kNeutralOne);
  return value.get<double>() != (neutral_one ? 1 : 0);
}

}  // namespace

int64_t GenerationConfig::new_tokens(int64_t prompt_tokens, int64_t fallback) const {
  if (max_new_tokens) return *max_new_tokens;
  if (max_length && *max_length <= prompt_tokens)
    notice_once(fmt::format("generation_config.json: max_length {} leaves nothing behind a prompt of {} tokens: not followed", *max_length,
                            prompt_tokens));
  return max_length && *max_length > prompt_tokens ? *max_length - prompt_tokens : fallback;
}

GenerationConfig load_generation_config(const fs::path& folder) {
  GenerationConfig config;
  const fs::path path = folder / "generation_config.json";
  if (!fs::exists(path)) return config;
  const Json json = read_json(path);
  FB_CHECK(json.is_object(), "{}: expected an object, got {}", path.string(), json.type_name());
  const GenerationKeys keys{json, path.string()};
  config.eos_token_ids = keys.ids("eos_token_id");
  config.max_new_tokens = keys.length("max_new_tokens");
  config.max_length = keys.length("max_length");
  config.stop_strings = keys.texts("stop_strings");
  for (const auto& [key, value] : json.items()) {
    const bool known = std::find(std::begin(kKnownKeys), std::end(kKnownKeys), key) != std::end(kKnownKeys);
    if (!known && asks_for_something(key, value)) config.not_followed.push_back(key);
  }
  config.sampling.temperature = keys.number("temperature", config.sampling.temperature);
  config.sampling.top_p = keys.number("top_p", config.sampling.top_p);
  config.sampling.top_k = keys.integer("top_k", config.sampling.top_k);
  config.sampling.min_p = keys.number("min_p", config.sampling.min_p);
  config.do_sample_is_absent = !keys.find("do_sample");
  if (!keys.boolean("do_sample", true)) config.sampling.temperature = 0;
  try {
    check_sampling(config.sampling);
  } catch (const Error& e) {
    FB_FAIL("{}: {}", path.string(), e.what());
  }
  return config;
}

std::vector<int32_t> stop_ids(const ModelConfig& model, const GenerationConfig& generation, const Tokenizer* tokenizer,
                              std::span<const int32_t> requested) {
  std::vector<int32_t> ids;
  const auto add = [&](int64_t id, const char* where) {
    if (id < 0 || id >= model.vocab_size) {
      notice_once(fmt::format("{}: {} is no token of this model's {}: nothing ends there", where, id, model.vocab_size));
      return;
    }
    if (std::find(ids.begin(), ids.end(), int32_t(id)) == ids.end()) ids.push_back(int32_t(id));
  };
  if (model.eos_token_id) add(*model.eos_token_id, "config.json: eos_token_id");
  // A list in config.json: see take_eos_list in model/model_config.cpp.
  for (const Json& id : model.other.value("eos_token_id", Json::array())) add(id.get<int64_t>(), "config.json: eos_token_id");
  for (const int32_t id : generation.eos_token_ids) add(id, "generation_config.json: eos_token_id");
  if (tokenizer && tokenizer->eos_id() && *tokenizer->eos_id() < model.vocab_size)
    add(*tokenizer->eos_id(), "tokenizer: end-of-text token");
  for (const int32_t id : requested) {
    FB_CHECK(id >= 0 && id < model.vocab_size, "stop_token_ids: expected token ids below vocab_size {}, got {}", model.vocab_size, id);
    add(id, "stop_token_ids");
  }
  return ids;
}

}  // namespace finback
