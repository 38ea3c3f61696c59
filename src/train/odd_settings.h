// What a recipe may say and hardly means: legal values that do nothing, or never come to bear in a run of this length. Pure: opens nothing.
#pragma once
#include <string>
#include <vector>

#include "model/model_config.h"
#include "train/train_config.h"

namespace finback {

// A line for each, naming the key; none for a recipe that is all right. epoch_tokens: of one pass over all corpora.
std::vector<std::string> odd_settings(const TrainConfig& config, const ModelConfig& shape, int64_t epoch_tokens);

}  // namespace finback
