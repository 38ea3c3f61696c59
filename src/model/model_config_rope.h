// How a config.json says that positions are rotated: rope_scaling (`type` or `rope_type`) beside a top-level rope_theta, or transformers 5's
// rope_parameters that holds rope_theta as well. Keys that say nothing new are read over; those that would change the arithmetic are named.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"
#include "model/model_config_fields.h"

namespace finback {

// Into config.rope_scaling and config.rope_theta; what no code here computes is added to `unbuilt` ("rope_scaling: rope_type: expected, got"). REQUIRES:
// config.max_position_embeddings, config.rope_theta and the head dims were read. Throws Error for what contradicts itself or means nothing.
void parse_rope(const Json& json, const std::string& what, ModelConfig& config, std::vector<std::string>& unbuilt);
// The names that it reads at the top level.
const std::vector<std::string>& rope_keys();
// The value of rope_scaling.
Json dump_rope(const ModelConfig& config);

}  // namespace finback
