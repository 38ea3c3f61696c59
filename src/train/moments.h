// AdamW's moments in a checkpoint: trainer.safetensors (or trainer-00001-of-00002.safetensors, ...) with "m.<name>" and "v.<name>" of every
// trained tensor, cut into files as the weights are, so that a process which holds some tensors can write and read theirs alone.
#pragma once
#include <filesystem>
#include <string>

#include "model/checkpoint.h"
#include "train/optimizer.h"

namespace finback {

// Throws Error when a file cannot be written.
void write_moments(const std::filesystem::path& folder, const Transformer& model, const Optimizer& optimizer, const SaveOptions& options);
// Throws Error for a missing, unknown, repeated or misshapen moment.
void read_moments(const std::filesystem::path& folder, const Parameters& parameters, const Optimizer& optimizer);
// Hash of the hashes of all pieces of m, then of v.
std::string moments_hash(const Parameters& parameters, const Optimizer& optimizer);

}  // namespace finback
