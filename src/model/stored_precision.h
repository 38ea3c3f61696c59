// In how many bits a folder stores what a model was trained with in more, or what is read in fewer: read as it is, and said.
#pragma once
#include <filesystem>

#include "model/safetensors.h"

namespace finback {

// One line on stderr for each of: expert biases that are no F32; scales of FP8 weights that are BF16 or F16; FP8 where V3 section 3.3 keeps it out
// (embedding, head, router, eh_proj); F16 or BF16 tensors in a folder whose config.json names a wider torch_dtype, or whose other tensors are
// wider; F64 tensors, which are rounded to f32. Each names the first tensor and counts.
void say_lost_precision(const std::filesystem::path& folder, const SafetensorsFolder& files);

}  // namespace finback
