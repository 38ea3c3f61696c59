// What a training run is asked beside its recipe: into which folder state, what it may overlook, and who writes its text samples. Data only.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "model/transformer.h"
#include "train/run_folder.h"

namespace finback {

// Continues `prompt`; generation lives in a folder that train cannot see, so the caller brings it. Must be a function of its arguments.
struct SampleRequest {
  Transformer& model;
  std::filesystem::path tokenizer_folder;
  std::string prompt;
  int64_t tokens = 0;
  uint64_t seed = 0;
};
using SampleText = std::function<std::string(const SampleRequest&)>;

struct TrainOptions {
  OpenMode mode = OpenMode::kNew;
  bool allow_other_kernels = false;  // resume under another kernel variant: same training, other bits
  bool anyway = false;               // start though the count of memory or disk says that it does not fit
  std::filesystem::path rows_log;    // JSON lines of every row trained on; empty: none
  SampleText sample;                 // empty: no text samples
};

}  // namespace finback
