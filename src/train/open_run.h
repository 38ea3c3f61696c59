// What happens before a run's first step: the state before it or the newest checkpoint's, and the run's plan. Knows no loop.
#pragma once
#include <optional>

#include "cost/local_plan.h"
#include "machine/machine_probe.h"
#include "train/checkpointing.h"
#include "train/row_feed.h"
#include "train/stop_signal.h"
#include "train/train_options.h"

namespace finback {

struct OpenedRun {
  TrainerState state;
  bool resumed = false;
  InheritedFiles inherited;  // of train.init, or of the checkpoint that has them from there
};

// Brings model, optimizer and feed to the start or to the newest checkpoint. Throws Error when the run cannot go on exactly.
OpenedRun open_run(const TrainConfig& config, const TrainOptions& options, const RunFolder& folder, RowFeed& feed, Transformer& model,
                   Optimizer& optimizer);

// The plan that an earlier attempt of a resumed run made, with its seconds counted anew where the run has another length now; or a new one before
// the first step of a run that is worth it. None for short runs, and none when the rehearsal is stopped: the next attempt makes it. A new one is
// written when the folder is the new run's (RunFolder::clear).
std::optional<LocalPlan> make_or_find_plan(const TrainConfig& config, const TrainOptions& options, const ModelConfig& shape,
                                           const RowFeed& feed, const MachineProbe& machine, const RunFolder& folder,
                                           const StopSignal& stop);

}  // namespace finback
