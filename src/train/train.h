// The training run: recipe in, run folder out (see run_folder.h for its files). One straight loop: save, evaluate and sample once in a
// while, then one optimizer step and one log line. Exact: killed at any instant and resumed, the weights and all metrics but
// kWallClockFields are bitwise those of a run never interrupted, on the same kernel variant. One main thread; ops use the thread pool.
#pragma once
#include <filesystem>
#include <optional>

#include "cost/bill.h"
#include "train/train_config.h"
#include "train/train_options.h"

namespace finback {

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
