// A config.json -> ModelConfig and back. An absent key means what transformers' config of that model_type means. Unknown keys are kept in `other`;
// a near miss of a key is an error. Knows no tensors.
#pragma once
#include <filesystem>
#include <string>

#include "base/json.h"
#include "model/model_config_fields.h"

namespace finback {

// Parses and validates; every impossible or unsupported combination is an Error that names the keys, what was expected and got.
ModelConfig parse_model_config(const Json& json, const std::string& what);
// A config.json, or a folder that holds one.
ModelConfig load_model_config(const std::filesystem::path& path);
Json dump_model_config(const ModelConfig& config);

}  // namespace finback
