// The parts of tokenizer.json around the model: normalizer, pre-tokenizer, post-processor, decoder. Each reader takes the JSON value (null
// where the file has none) and throws Error naming what is not supported. Pure functions.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/added_tokens.h"
#include "tokenizer/normalizer.h"
#include "tokenizer/pre_tokenizer.h"

namespace finback {

// Objects with sorted keys: base/json.h's ordered ones look every key up in turn, quadratic for a vocabulary of 128,000.
using WideJson = nlohmann::json;

std::vector<NormalForm> parse_normalizer(const WideJson& json, const std::string& where);
std::vector<PreTokenizerStep> parse_pre_tokenizer(const WideJson& json, const std::string& where);
std::vector<std::vector<int32_t>> parse_post_processor(const WideJson& json, const std::string& where);
// Only checks: it must be ByteLevel, which has no settings that matter.
void check_decoder(const WideJson& json, const std::string& where);

// Throws Error in one line for anything that is not JSON, for a key that comes twice in one object, and for nesting without end.
WideJson parse_wide_json(std::string_view text, const std::string& where);
// Content and flags of an added token; its id is not read. As in tokenizer.json, a token is normalized unless it says otherwise.
AddedToken parse_added_token(const WideJson& json, const std::string& where, bool normalized = true);
inline constexpr int32_t kMaxTokenId = (1 << 21) - 1;  // tables are as long as the highest id, and a file of a few bytes could name any

// Typed access with one-line errors. An absent key is null.
const WideJson& part_of(const WideJson& object, const char* key);
std::optional<std::string> optional_string(const WideJson& object, const char* key, const std::string& where);
std::string string_of(const WideJson& object, const char* key, const std::string& where);
bool bool_of(const WideJson& object, const char* key, bool fallback, const std::string& where);

}  // namespace finback
