#include "train/open_run.h"

#include "base/fields.h"
#include "base/file.h"
#include "base/timer.h"
#include "kernels/backend.h"
#include "model/checkpoint.h"
#include "model/model_folder.h"
#include "train/preflight.h"
#include "train/rehearsal.h"

namespace finback {
namespace fs = std::filesystem;

OpenedRun open_run(const TrainConfig& config, const TrainOptions& options, const RunFolder& folder, RowFeed& feed, Transformer& model,
                   Optimizer& optimizer) {
  TrainConfig copy = config;
  const std::optional<TrainerState> saved = options.mode == OpenMode::kResume ? newest_checkpoint(folder.root()) : std::nullopt;
  TrainerState state = saved.value_or(TrainerState{});
  InheritedFiles inherited;
  state.recipe = dump_fields(copy);
  state.kernels = kernel_label_on(model.device());
  state.device = config.run.device;
  if (saved) {
    check_resumable(*saved, config, model.config(), options.allow_other_kernels, folder.root());
    feed.restore(saved->data_cursor, saved->data_fingerprint);
    load_checkpoint(folder.root(), *saved, model, optimizer);
    if (!config.train.init.empty()) inherited = inherited_files(folder.root() / step_name(saved->step));
    point_latest(folder.root(), saved->step);
  } else {
    state.started = utc_now();
    state.data_fingerprint = feed.fingerprint();
    if (config.train.init.empty()) {
      model.parameters().initialize(uint64_t(config.run.seed), model.config().initializer_range);
    } else {
      load_weights(config.train.init, model);
      inherited = inherited_files(find_model_folder(config.train.init));
    }
  }
  model.set_precision(precision_plan(config.train, state.fallen_back));
  return {state, saved.has_value(), std::move(inherited)};
}

std::optional<LocalPlan> make_or_find_plan(const TrainConfig& config, const TrainOptions& options, const ModelConfig& shape,
                                           const RowFeed& feed, const MachineProbe& machine, const RunFolder& folder,
                                           const StopSignal& stop) {
  if (options.mode == OpenMode::kResume && fs::exists(folder.plan())) {
    LocalPlan plan;
    load_fields(plan, read_json(folder.plan()), folder.plan().string());
    const LocalRun counted = counted_run(config, feed.validation_rows() * config.data.seq_len, bool(options.sample));
    return counted.tokens == plan.measured.tokens ? plan : plan_other_length(plan, counted);
  }
  const std::optional<TrainerState> saved = options.mode == OpenMode::kResume ? newest_checkpoint(folder.root()) : std::nullopt;
  if (config.run.device != "cpu" || (saved && saved->step > 0)) return std::nullopt;
  const double rough_s = rough_seconds(config, shape, machine.fma_peak_gflops);
  if (rough_s < config.bill.plan_above_s) return std::nullopt;
  stop.announce("in the rehearsal; nothing is trained yet, so there is nothing to save. Ctrl-C again leaves at once");
  return rehearse(config, options.sample, rough_s, folder.root() / "step-rehearsal", [&] { return stop.asked(); });
}

}  // namespace finback
