// README.md of a converted model folder: what the model is, how it was trained, figures of the run, what it cost, how to load it. Facts come from the
// checkpoint's trainer.json and from the files of the run folder around it; what is not there is said to be unknown. Knows no tensors.
#pragma once
#include <filesystem>
#include <string>

#include "model/model_config.h"

namespace finback {

struct CardModel {
  ModelConfig config;
  std::string weights;        // f32 | bf16 | fp8
  int64_t mtp_modules = 0;    // in the weights; config may count others
  uint64_t weight_bytes = 0;  // in the new folder
};

// `from`: the folder that was converted. The card of such a folder passes its account of the training on, and any other README.md of it follows
// under a heading of its own.
std::string model_card(const std::filesystem::path& from, const CardModel& model);
// Of a model of random weights (model/random_model.h).
std::string random_model_card(const CardModel& model, uint64_t seed);

}  // namespace finback
