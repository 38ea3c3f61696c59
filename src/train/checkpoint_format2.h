// Checkpoints of format version 2, read only: the moments are two nameless flat tensors "m" and "v" in one trainer.safetensors, and both hashes
// are one sequential xxh3 over everything. Version 3: train/moments.h and Parameters::fingerprint.
#pragma once
#include <filesystem>
#include <string>

#include "train/optimizer.h"

namespace finback {

// What version 2 called the weights' fingerprint and the moments' hash.
std::string format2_fingerprint(const Parameters& parameters);
std::string format2_moments_hash(const Optimizer& optimizer);
// Throws Error when the two tensors are not there or have another length.
void read_format2_moments(const std::filesystem::path& folder, const Optimizer& optimizer);

}  // namespace finback
