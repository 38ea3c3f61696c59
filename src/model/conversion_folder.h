// The folder that a conversion writes, from the first look at it to its config.json. While it is not whole it holds the plan of what becomes what, and a
// second conversion with the same plan goes on. Knows no tensors' values.
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "model/model_config.h"
#include "model/tensor_change.h"

namespace finback {

// Whether the conversion goes on where an earlier one stopped. Writes nothing. Throws Error for a folder with something else in it (unless overwrite), with
// another plan, or of a run.
bool check_target(const std::filesystem::path& to, const Json& plan, bool overwrite);
// Behind every check: a model that is there is removed, unless the conversion goes on.
void begin_target(const std::filesystem::path& to, const Json& plan, bool goes_on);
// Whether the shard is there as it would be written.
bool is_written(const std::filesystem::path& path, const std::vector<TensorEntry>& entries);
const std::map<std::string, std::string>& conversion_metadata();  // of every shard
// Writes config.json, which makes the folder whole.
void end_target(const std::filesystem::path& to, const Json& config);

// Every key as it was, but for those that say how weights are stored, and those without which transformers builds another model.
Json converted_config(Json config, const ModelConfig& shape, const ConversionTarget& target);

}  // namespace finback
