#include "tokenizer/side_files.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "tokenizer/component_json.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

WideJson parse_object(std::string_view text, const std::string& file) {
  WideJson json = parse_wide_json(text, file);
  FB_CHECK(json.is_object(), "{}: expected an object, got {}", file, json.type_name());
  return json;
}

// A token's name: a string, or an object with its content and flags.
AddedToken named_token(const WideJson& json, const std::string& key, const std::string& file) {
  AddedToken token;
  if (json.is_string()) {
    token.content = json.get<std::string>();
    token.normalized = false;
  } else {
    FB_CHECK(json.is_object(), "{}: expected a token (a string, or an object with \"content\") at \"{}\", got {}", file, key,
             json.type_name());
    token = parse_added_token(json, file + ": " + key, /*normalized=*/false);
  }
  token.special = true;
  return token;
}

void set_end(std::optional<std::string>& end, const std::string& content, const char* key, const std::string& file) {
  FB_CHECK(!end || *end == content, "{}: {}: expected \"{}\" as in the files beside it, got \"{}\"", file, key, *end, content);
  end = content;
}

// bos_token, eos_token and all others "..._token", and the lists of more: in transformers' order, which gives new ones their ids.
void read_names(const WideJson& json, const std::string& file, TokenizerConfig& config) {
  std::vector<std::string> keys = {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};
  for (const auto& [key, value] : json.items()) {
    const bool token = key.ends_with("_token") && (value.is_string() || value.is_object());  // not a switch such as add_bos_token
    if (token && std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(key);
  }
  for (const std::string& key : keys) {
    const WideJson& value = part_of(json, key.c_str());
    if (value.is_null()) continue;
    config.special.push_back(named_token(value, key, file));
    if (key == "bos_token") set_end(config.bos_token, config.special.back().content, "bos_token", file);
    if (key == "eos_token") set_end(config.eos_token, config.special.back().content, "eos_token", file);
  }
  for (const char* key : {"additional_special_tokens", "extra_special_tokens"}) {
    const WideJson& list = part_of(json, key);
    if (list.is_null()) continue;
    FB_CHECK(list.is_array() || list.is_object(), "{}: expected a list at \"{}\", got {}", file, key, list.type_name());
    for (const WideJson& value : list) config.special.push_back(named_token(value, key, file));
  }
}

void add_numbered(TokenizerConfig& config, AddedToken token, bool flags_given, const std::string& file) {
  FB_CHECK(token.id >= 0 && token.id <= kMaxTokenId, "{}: expected ids from 0 to {}, got {} for \"{}\"", file, kMaxTokenId, token.id,
           token.content);
  config.numbered.push_back({std::move(token), flags_given, file});
}

std::string flags_of(const AddedToken& token) {
  std::string flags;
  for (const auto& [set, name] : {std::pair(token.single_word, "single_word"), std::pair(token.lstrip, "lstrip"),
                                  std::pair(token.rstrip, "rstrip"), std::pair(token.special, "special")}) {
    if (set) flags += (flags.empty() ? "" : ", ") + std::string(name);
  }
  return flags.empty() ? "no flags" : flags;
}

// The tokens of all side files by content and by id.
struct Union {
  const AddedTokens& known;
  const BpeModel& model;
  const std::string& where;
  std::map<int32_t, AddedToken> by_id = {};  // new ones

  std::optional<int32_t> known_id(const std::string& content) const {
    const auto id = known.id_of(content);
    return id ? id : model.id_of(content);
  }
  std::optional<std::string> known_content(int32_t id) const {
    if (const auto found = known.by_id().find(id); found != known.by_id().end()) return found->second.content;
    const std::string* name = model.token_of(id);
    return name ? std::optional(*name) : std::nullopt;
  }

  void add(const NumberedToken& numbered) {
    const AddedToken& token = numbered.token;
    const std::string& file = numbered.file;
    if (const auto id = known_id(token.content)) {
      FB_CHECK(*id == token.id, "{}: \"{}\": expected id {} as in {}, got {}", file, token.content, *id, where, token.id);
      const auto added = known.by_id().find(*id);
      if (!numbered.flags_given || added == known.by_id().end()) return;
      FB_CHECK(flags_of(added->second) == flags_of(token), "{}: \"{}\": expected the flags of {} ({}), got {}", file, token.content, where,
               flags_of(added->second), flags_of(token));
      return;
    }
    const auto taken = known_content(token.id);
    FB_CHECK(!taken, "{}: id {}: expected \"{}\" as in {}, got \"{}\"", file, token.id, taken.value_or(""), where, token.content);
    for (const auto& [id, other] : by_id) {
      FB_CHECK((id == token.id) == (other.content == token.content), "{}: \"{}\" has id {} where \"{}\" has {}: expected one token an id",
               file, token.content, token.id, other.content, id);
    }
    by_id.emplace(token.id, token);
  }
};

}  // namespace

const std::vector<std::string>& tokenizer_file_names() {
  static const std::vector<std::string> names = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
                                                 "chat_template.jinja"};
  return names;
}

void read_tokenizer_config(std::string_view text, const std::string& file, TokenizerConfig& config) {
  const WideJson json = parse_object(text, file);
  read_names(json, file, config);
  config.add_bos_token = bool_of(json, "add_bos_token", false, file);
  config.add_eos_token = bool_of(json, "add_eos_token", false, file);
  const WideJson& decoder = part_of(json, "added_tokens_decoder");
  FB_CHECK(decoder.is_null() || decoder.is_object(), "{}: expected an object at \"added_tokens_decoder\", got {}", file,
           decoder.type_name());
  for (const auto& [key, value] : decoder.items()) {
    AddedToken token = parse_added_token(value, file + ": added_tokens_decoder", /*normalized=*/true);
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token.id);
    FB_CHECK(error == std::errc() && end == key.data() + key.size(), "{}: added_tokens_decoder: expected ids as keys, got \"{}\"", file,
             key.substr(0, 60));
    add_numbered(config, std::move(token), /*flags_given=*/true, file);
  }
}

void read_special_tokens_map(std::string_view text, const std::string& file, TokenizerConfig& config) {
  read_names(parse_object(text, file), file, config);
}

void read_added_tokens_file(std::string_view text, const std::string& file, TokenizerConfig& config) {
  const WideJson json = parse_object(text, file);
  for (const auto& [content, id] : json.items()) {
    FB_CHECK(id.is_number_unsigned() && id.get<uint64_t>() <= uint64_t(kMaxTokenId), "{}: expected ids from 0 to {}, got {} for \"{}\"",
             file, kMaxTokenId, id.dump().substr(0, 40), content);
    AddedToken token;
    token.content = content;
    token.id = id.get<int32_t>();
    add_numbered(config, std::move(token), /*flags_given=*/false, file);
  }
}

TokenizerConfig read_side_files(const fs::path& folder) {
  TokenizerConfig config;
  const auto read = [&](const char* name, const auto& reader) {
    if (const fs::path file = folder / name; fs::exists(file)) reader(read_file(file), file.string(), config);
  };
  read("tokenizer_config.json", read_tokenizer_config);
  read("special_tokens_map.json", read_special_tokens_map);
  read("added_tokens.json", read_added_tokens_file);
  return config;
}

std::vector<AddedToken> tokens_beside(const TokenizerConfig& config, const AddedTokens& known, const BpeModel& model,
                                      const std::string& where) {
  Union all{known, model, where};
  for (const NumberedToken& numbered : config.numbered) all.add(numbered);
  std::vector<AddedToken> more;
  for (auto& [id, token] : all.by_id) {
    const bool named =
        std::any_of(config.special.begin(), config.special.end(), [&](const AddedToken& s) { return s.content == token.content; });
    if (named) token.special = true, token.normalized = false;
    more.push_back(token);
  }
  for (const AddedToken& token : config.special) {
    const bool listed = std::any_of(more.begin(), more.end(), [&](const AddedToken& m) { return m.content == token.content; });
    if (listed || token.content.empty()) continue;
    const auto id = known.id_of(token.content);
    AddedToken special = id ? known.by_id().at(*id) : token;
    special.special = true;
    // bos and eos without a token are an error of their own (Tokenizer's constructor).
    const bool end = token.content == config.bos_token || token.content == config.eos_token;
    if (end && !all.known_id(token.content)) continue;
    if (!id || !known.is_special(token.content)) more.push_back(special);
  }
  return more;
}

}  // namespace finback
