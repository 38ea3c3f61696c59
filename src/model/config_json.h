// The keys of a config.json before they become a ModelConfig (model_config_fields.h).
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "model/model_config_fields.h"

namespace finback {

// Of a config.json, or of the folder that holds one. Throws Error for a file that is too large or no JSON object.
Json read_config_json(const std::filesystem::path& path);
// As others may lay their keys over it: each under one name, none that follows from others (num_key_value_heads), rope in one form. Throws Error for what
// cannot be read.
Json settable_keys(const Json& json, const std::string& what);
// As parse_model_config, for counting: what the config of a DeepSeek V2 or V3 asks for and no code here computes (biases, another activation, another
// scaling of RoPE, dense layers in between) is no Error but goes into `unbuilt`, "attention_bias: expected false, got true" each.
ModelConfig parse_countable_config(const Json& json, const std::string& what, std::vector<std::string>& unbuilt);

}  // namespace finback
