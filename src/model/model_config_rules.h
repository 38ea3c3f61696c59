// What a ModelConfig must satisfy before anything is built from it: ranges, products that fit in memory's address space, and the
// combinations that the model supports. Pure arithmetic on the struct: a config that asks for 10^18 experts costs nothing to refuse.
#pragma once
#include <string>

#include "model/model_config_fields.h"

namespace finback {

// Throws Error naming the keys, what was expected and what was got. `what`: the file, for messages.
void check_model_config(const ModelConfig& config, const std::string& what);
// Every key but model_type with its plain value (one group, nothing scaled, no MTP) and dimensions of 0: laid under keys that are to mean the same
// whatever transformers' defaults, those of a recipe's [model].
Json plain_model_keys();

}  // namespace finback
