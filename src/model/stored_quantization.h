// Which quantizations of weights are read, by the quantization_config of a config.json: FP8 with scales of blocks, and int8 panels for serving. Whoever opens weights asks; counting
// and training from random weights need not.
#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "base/json.h"

namespace finback {

// Nothing for weights that are not quantized; an empty text for FP8 that is read; else the first key that is not: expected, got.
std::optional<std::string> quantization_fault(const Json& config, const std::string& what);
// The object of the config that asks for FP8. REQUIRES: quantization_fault() is an empty text.
const Json& fp8_quantization(const Json& config);
// quantization_config of a folder of int8 panels (model/panel_folder.h), and whether a folder is one by its config.json; false without one.
Json panel_quantization();
bool is_panel_folder(const std::filesystem::path& folder);
// Throws Error when the folder's config.json says that its weights are stored in another way. A folder without the file says nothing.
void check_stored_quantization(const std::filesystem::path& folder);

}  // namespace finback
