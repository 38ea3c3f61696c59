// What is refused before a run writes anything, and what would make a resumed run another run. Pure questions: opens no file but the
// saved checkpoint's, changes nothing, and may be asked from any thread.
#pragma once
#include <filesystem>
#include <string>

#include "model/model_config.h"
#include "train/checkpointing.h"
#include "train/row_feed.h"
#include "train/train_config.h"

namespace finback {

// The run's row of the price table: bill.device, or cpu. Throws Error for an accelerator without a named row or a rate.
std::string price_row(const TrainConfig& config);

// Throws Error for whatever would only fail at the first evaluation, sample or bill. `samples`: text samples will be made.
void check_before_start(const TrainConfig& config, const ModelConfig& shape, const RowFeed& feed, bool samples);

// train.init of a run that begins in `root`: a model folder whose weights fit `shape`, and none that the run itself would remove. Where they do not fit,
// the message names all keys that differ and what to set. base_config: the recipe's model.config.
void check_init(const std::string& init, const ModelConfig& shape, const std::filesystem::path& root,
                const std::filesystem::path& tokenizer_folder = {}, const std::string& base_config = {});

// Throws Error when recipe, model shape or, on the CPU, kernels are not those of the run that saved root/step-<saved.step>, or when its steps so far
// would have been others in a run of the length that is asked for.
void check_resumable(const TrainerState& saved, const TrainConfig& config, const ModelConfig& shape, bool allow_other_kernels,
                     const std::filesystem::path& root);

// The keys of config.json in which two shapes differ. How weights are stored is no part of a shape.
std::vector<ChangedKey> changed_keys(ModelConfig saved, ModelConfig asked);

}  // namespace finback
