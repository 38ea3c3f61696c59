// Which MTP modules the weights of a folder hold, whatever its config.json counts: transformers keeps num_nextn_predict_layers and drops the layers.
#pragma once
#include <cstdint>
#include <string>

#include "model/model_config.h"
#include "model/safetensors.h"

namespace finback {

// Whether a tensor lies under a layer behind the last of num_hidden_layers.
bool is_of_mtp(const std::string& name, const ModelConfig& config);
// Layers behind the last that have a tensor.
int64_t stored_mtp_modules(const SafetensorsFolder& files, const ModelConfig& config);

}  // namespace finback
