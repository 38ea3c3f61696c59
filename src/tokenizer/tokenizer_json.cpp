#include "tokenizer/tokenizer_json.h"

#include "base/error.h"
#include "tokenizer/component_json.h"

namespace finback {
namespace {

std::vector<AddedToken> read_added_tokens(const WideJson& list, const std::string& where) {
  std::vector<AddedToken> tokens;
  if (list.is_null()) return tokens;
  FB_CHECK(list.is_array(), "{}: expected a list, got {}", where, list.type_name());
  for (const WideJson& json : list) {
    tokens.push_back(parse_added_token(json, where));
  }
  return tokens;
}

std::unordered_map<std::string, int32_t> read_vocab(const WideJson& json, const std::string& where) {
  FB_CHECK(json.is_object(), "{}: expected an object at \"vocab\", got {}", where, json.type_name());
  std::unordered_map<std::string, int32_t> vocab;
  vocab.reserve(json.size());
  for (const auto& [token, id] : json.items()) {
    FB_CHECK(id.is_number_unsigned() && id.get<uint64_t>() <= uint64_t(kMaxTokenId),
             "{}: expected ids from 0 to {} in the vocabulary, got {}", where, kMaxTokenId, id.is_number() ? id.dump() : id.type_name());
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
  BpeSpec model;
  model.byte_fallback = bool_of(json, "byte_fallback", false, where);
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
  TokenizerSpec spec;
  for (const char* key : {"truncation", "padding"}) {
    if (!part_of(json, key).is_null()) spec.not_followed.push_back(key);
  }
  spec.added_tokens = read_added_tokens(part_of(json, "added_tokens"), where + ": added_tokens");
  spec.normalizer = parse_normalizer(part_of(json, "normalizer"), where);
  spec.pre_tokenizer = parse_pre_tokenizer(part_of(json, "pre_tokenizer"), where);
  spec.templates = parse_post_processor(part_of(json, "post_processor"), where);
  check_decoder(part_of(json, "decoder"), where);
  spec.model = read_model(part_of(json, "model"), where + ": model");
  return spec;
}

}  // namespace finback
