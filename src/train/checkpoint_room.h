// How many bytes of disk the checkpoints of a run take while it goes on, against what is free there. Knows no tensors; asks the file system.
#pragma once
#include <cstdint>
#include <filesystem>

#include "model/model_config.h"
#include "train/run_folder.h"
#include "train/train_config.h"

namespace finback {

// Weights as model files hold them, moments, and what stands beside them.
double checkpoint_bytes(const ModelConfig& shape);
// The most that ever lie side by side: a new one is whole before an old one goes. Of a run of `steps` steps.
int64_t checkpoints_at_once(const CheckpointSection& section, int64_t steps);

// Throws Error when those do not fit on root's file system beside what stays there. Checkpoints that `root` holds already count as room: they are
// replaced, or (kOverwrite) removed.
void check_checkpoint_room(const TrainConfig& config, const ModelConfig& shape, const std::filesystem::path& root, OpenMode mode);

}  // namespace finback
