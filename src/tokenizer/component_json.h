// The parts of tokenizer.json around the model: normalizer, pre-tokenizer, post-processor, decoder. Each reader takes the JSON value (null
// where the file has none) and throws Error naming what is not supported. Pure functions.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

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

// Typed access with one-line errors. An absent key is null.
const WideJson& part_of(const WideJson& object, const char* key);
std::string string_of(const WideJson& object, const char* key, const std::string& where);
bool bool_of(const WideJson& object, const char* key, bool fallback, const std::string& where);

}  // namespace finback
