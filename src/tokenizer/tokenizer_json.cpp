#include "tokenizer/tokenizer_json.h"

#include "base/error.h"
#include "tokenizer/component_json.h"
#include "tokenizer/utf8.h"

namespace finback {
namespace {

constexpr int kMaxDepth = 64;
constexpr int32_t kMaxId = (1 << 21) - 1;  // tables are as long as the highest id, and a file of a few bytes could name any

// Throws Error in one line for anything that is not JSON.
WideJson parse_wide_json(std::string_view text, const std::string& where) {
  FB_CHECK(utf8_valid_prefix(text) == text.size(), "{}: expected UTF-8, got a stray byte at {}", where, utf8_valid_prefix(text));
  const auto bounded = [&](int depth, WideJson::parse_event_t, WideJson&) {
    FB_CHECK(depth <= kMaxDepth, "{}: JSON nested deeper than {} levels", where, kMaxDepth);
    return true;
  };
  try {
    return WideJson::parse(text, bounded);
  } catch (const nlohmann::json::exception& e) {
    std::string reason = e.what();
    if (const size_t bracket = reason.find("] "); bracket != std::string::npos) reason = reason.substr(bracket + 2);
    for (char& c : reason) c = c == '\n' || c == '\r' ? ' ' : c;
    FB_FAIL("{}: expected JSON, got {}", where, reason);
  }
}

std::optional<std::string> optional_string(const WideJson& object, const char* key, const std::string& where) {
  if (part_of(object, key).is_null()) return std::nullopt;
  return string_of(object, key, where);
}

std::vector<AddedToken> read_added_tokens(const WideJson& list, const std::string& where) {
  std::vector<AddedToken> tokens;
  if (list.is_null()) return tokens;
  FB_CHECK(list.is_array(), "{}: expected a list, got {}", where, list.type_name());
  for (const WideJson& json : list) {
    AddedToken token;
    token.content = string_of(json, "content", where);
    token.single_word = bool_of(json, "single_word", false, where);
    token.lstrip = bool_of(json, "lstrip", false, where);
    token.rstrip = bool_of(json, "rstrip", false, where);
    token.normalized = bool_of(json, "normalized", true, where);
    token.special = bool_of(json, "special", false, where);
    tokens.push_back(std::move(token));
  }
  return tokens;
}

std::unordered_map<std::string, int32_t> read_vocab(const WideJson& json, const std::string& where) {
  FB_CHECK(json.is_object(), "{}: expected an object at \"vocab\", got {}", where, json.type_name());
  std::unordered_map<std::string, int32_t> vocab;
  vocab.reserve(json.size());
  for (const auto& [token, id] : json.items()) {
    FB_CHECK(id.is_number_unsigned() && id.get<uint64_t>() <= uint64_t(kMaxId), "{}: expected ids from 0 to {} in the vocabulary, got {}",
             where, kMaxId, id.is_number() ? id.dump() : id.type_name());
    vocab.emplace(token, id.get<int32_t>());
  }
  return vocab;
}

// "left right", or ["left", "right"]. A first line "#version..." is a comment.
std::vector<std::pair<std::string, std::string>> read_merges(const WideJson& list, const std::string& where) {
  FB_CHECK(list.is_array(), "{}: expected a list at \"merges\", got {}", where, list.type_name());
  std::vector<std::pair<std::string, std::string>> merges;
  merges.reserve(list.size());
  for (const WideJson& json : list) {
    if (json.is_string()) {
      const std::string& text = json.get_ref<const std::string&>();
      if (text.starts_with("#version")) continue;
      const size_t blank = text.find(' ');
      FB_CHECK(blank != std::string::npos && text.find(' ', blank + 1) == std::string::npos,
               "{}: expected merges as \"left right\", got \"{}\" at rank {}", where, text.substr(0, 60), merges.size());
      merges.emplace_back(text.substr(0, blank), text.substr(blank + 1));
    } else {
      FB_CHECK(json.is_array() && json.size() == 2 && json[0].is_string() && json[1].is_string(),
               "{}: expected merges as \"left right\" or [\"left\", \"right\"], got another form at rank {}", where, merges.size());
      merges.emplace_back(json[0].get<std::string>(), json[1].get<std::string>());
    }
  }
  return merges;
}

BpeSpec read_model(const WideJson& json, const std::string& where) {
  FB_CHECK(json.is_object(), "{}: expected an object, got {}", where, json.type_name());
  const std::string type = part_of(json, "type").is_null() ? "BPE" : string_of(json, "type", where);
  FB_CHECK(type == "BPE", "{}: {} is not supported. Hint: byte-level BPE is", where, type);
  const WideJson& dropout = part_of(json, "dropout");
  FB_CHECK(dropout.is_null() || dropout == 0.0, "{}: dropout is not supported", where);
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    FB_CHECK(optional_string(json, affix, where).value_or("").empty(), "{}: {} is not supported", where, affix);
  }
  FB_CHECK(!bool_of(json, "byte_fallback", false, where), "{}: byte_fallback is not supported", where);
  BpeSpec model;
  model.vocab = read_vocab(part_of(json, "vocab"), where);
  model.merges = read_merges(part_of(json, "merges"), where);
  model.unk_token = optional_string(json, "unk_token", where);
  model.fuse_unk = bool_of(json, "fuse_unk", false, where);
  model.ignore_merges = bool_of(json, "ignore_merges", false, where);
  return model;
}

}  // namespace

TokenizerSpec parse_tokenizer_json(std::string_view text, const std::string& where) {
  const WideJson json = parse_wide_json(text, where);
  FB_CHECK(json.is_object(), "{}: expected an object, got {}", where, json.type_name());
  if (const WideJson& version = part_of(json, "version"); !version.is_null()) {
    FB_CHECK(version == "1.0", "{}: expected version \"1.0\", got {}", where,
             version.is_string() ? version.get<std::string>() : version.type_name());
  }
  FB_CHECK(part_of(json, "truncation").is_null(), "{}: truncation is not supported", where);
  FB_CHECK(part_of(json, "padding").is_null(), "{}: padding is not supported", where);
  TokenizerSpec spec;
  spec.added_tokens = read_added_tokens(part_of(json, "added_tokens"), where + ": added_tokens");
  spec.normalizer = parse_normalizer(part_of(json, "normalizer"), where);
  spec.pre_tokenizer = parse_pre_tokenizer(part_of(json, "pre_tokenizer"), where);
  spec.templates = parse_post_processor(part_of(json, "post_processor"), where);
  check_decoder(part_of(json, "decoder"), where);
  spec.model = read_model(part_of(json, "model"), where + ": model");
  return spec;
}

TokenizerConfig parse_tokenizer_config(std::string_view text, const std::string& where) {
  const WideJson json = parse_wide_json(text, where);
  FB_CHECK(json.is_object(), "{}: expected an object, got {}", where, json.type_name());
  // A token is a string, or an object with its content and flags.
  const auto token = [&](const char* key) {
    const WideJson& value = part_of(json, key);
    return value.is_object() ? optional_string(value, "content", where) : optional_string(json, key, where);
  };
  TokenizerConfig config;
  config.bos_token = token("bos_token");
  config.eos_token = token("eos_token");
  config.add_bos_token = bool_of(json, "add_bos_token", false, where);
  config.add_eos_token = bool_of(json, "add_eos_token", false, where);
  return config;
}

}  // namespace finback
