// The training run: recipe in, run folder out (see run_folder.h for its files). One straight loop: save, evaluate and sample once in a
// while, then one optimizer step and one log line. Exact: killed at any instant and resumed, the weights and all metrics but
// kWallClockFields are bitwise those of a run never interrupted, on the same kernel variant. One main thread; ops use the thread pool.
#pragma once
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "cost/bill.h"
#include "model/transformer.h"
#include "train/run_folder.h"
#include "train/train_config.h"

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

struct TrainSummary {
  std::filesystem::path folder;
  int64_t step = 0, steps = 0;
  int64_t steps_done = 0;         // by this attempt; 0 without val_bpb: the run had been finished before
  int stopped_by = 0;             // the signal that ended it before its end; 0: none
  bool saved = true;              // there is a checkpoint to go on from
  std::optional<double> val_bpb;  // of the whole-split evaluation at the end; none when this attempt made none
  Bill bill;                      // unfinished when stopped
};

// Throws Error for a bad recipe, other data, another kernel variant, a changed key, too little memory or disk, a full disk, and for a non-finite loss or
// gradient (after saving the state before that step). Whatever can be refused is refused before anything in the folder is removed or replaced.
TrainSummary train(TrainConfig config, const TrainOptions& options);

}  // namespace finback
