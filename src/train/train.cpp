#include "train/train.h"

#include <ATen/ATen.h>

#include <cstdlib>
#include <fstream>
#include <numeric>

#include "base/fields.h"
#include "base/file.h"
#include "base/pool.h"
#include "base/toml.h"
#include "cost/flops.h"
#include "cost/prices.h"
#include "kernels/bench.h"
#include "kernels/variant.h"
#include "model/checkpoint.h"
#include "model/device.h"
#include "train/attempts.h"
#include "train/checkpointing.h"
#include "train/energy_counter.h"
#include "train/metrics.h"
#include "train/peak_memory.h"
#include "train/preflight.h"
#include "train/progress_line.h"
#include "train/rehearsal.h"
#include "train/row_feed.h"
#include "train/schedule.h"
#include "train/step_record.h"
#include "train/stop_signal.h"
#include "train/tensorboard.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

// What turns seconds and tokens into shares of the peak and dollars.
struct Meter {
  const AttemptLog& attempts;
  EnergyCounter& energy;
  MachineProbe machine{};
  double flops_per_token = 0;
  double usd_per_device_second = 0;
  double elapsed() const { return attempts.seconds(); }
  double usd() const { return attempts.device_seconds() * usd_per_device_second; }
  double peak_share(double tokens_per_s) const {
    return machine.fma_peak_gflops > 0 ? flops_per_token * tokens_per_s / (machine.fma_peak_gflops * 1e9) : 0;
  }
};

// More threads than cores are no more machine.
int64_t device_count(const TrainConfig& config) { return config.run.device == "cpu" ? std::min(threads(), available_cores()) : 1; }

Meter make_meter(const TrainConfig& config, const ModelConfig& shape, const MachineProbe& machine, const AttemptLog& attempts,
                 EnergyCounter& energy) {
  Meter meter{attempts, energy};
  const double rate = config.bill.rate > 0 ? config.bill.rate : price_of(price_row(config)).usd_per_hour;
  meter.machine = machine;
  if (config.run.device != "cpu") meter.machine.fma_peak_gflops = 0;  // the probe measures the CPU
  meter.flops_per_token =
      train_flops_per_token(shape_of(shape), double(config.data.seq_len), AttentionCount::kCausal, config.train.mtp_lambda > 0);
  meter.usd_per_device_second = rate / 3600;
  return meter;
}

Bill make_bill(const TrainConfig& config, const TrainerState& state, const Meter& meter, const std::optional<LocalPlan>& plan) {
  Bill bill;
  bill.run = config.run.name;
  bill.device = price_row(config);
  bill.device_name = config.run.device == "cpu" ? meter.machine.processor : config.run.device;
  bill.devices = meter.attempts.devices();
  bill.wall_hours = meter.elapsed() / 3600;
  bill.device_hours = meter.attempts.device_seconds() / 3600;
  bill.peak_memory_bytes = peak_memory_bytes();
  if (const std::optional<double> joules = meter.energy.joules()) {
    // Earlier attempts at this one's draw.
    bill.energy_kwh = *joules / 3.6e6 * meter.attempts.device_seconds() / meter.attempts.own_device_seconds();
    bill.energy_how = "measured: processor packages by RAPL, whatever else ran there included";
  }
  if (plan) bill.planned = {plan->measured.tokens, plan->wall_hours, plan->device_hours, plan->tokens_per_s, plan->memory_bytes};
  bill.tokens = state.tokens;
  bill.flops = meter.flops_per_token * double(state.tokens);
  bill.peak_flops_per_s = meter.machine.fma_peak_gflops * 1e9;
  bill.started = state.started;
  bill.ended = utc_now();
  settle_bill(bill, config.bill.rate);
  return bill;
}

bool due(int64_t step, int64_t every) { return every > 0 && step > 0 && step % every == 0; }

void set_deterministic(bool wanted) {
  if (!wanted || at::globalContext().deterministicAlgorithms()) return;
  ::setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8",
           /*overwrite=*/0);  // what cuBLAS asks of those who want the same bits again; read at its first product
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  at::globalContext().setDeterministicFillUninitializedMemory(false);  // that part is --poison's
}

struct Position {
  TrainerState state;
  bool resumed = false;
};

// The state before the first step, or the newest checkpoint's, with model, optimizer and feed brought to it.
Position open_position(const TrainConfig& config, const TrainOptions& options, const RunFolder& folder, RowFeed& feed, Transformer& model,
                       Optimizer& optimizer) {
  TrainConfig copy = config;
  const std::optional<TrainerState> saved = options.mode == OpenMode::kResume ? newest_checkpoint(folder.root()) : std::nullopt;
  TrainerState state = saved.value_or(TrainerState{});
  state.recipe = dump_fields(copy);
  state.kernels = kernel_label();
  state.device = config.run.device;
  if (saved) {
    check_resumable(*saved, config, model.config(), options.allow_other_kernels, folder.root());
    feed.restore(saved->data_cursor, saved->data_fingerprint);
    load_checkpoint(folder.root(), *saved, model, optimizer);
    point_latest(folder.root(), saved->step);
  } else {
    state.started = utc_now();
    state.data_fingerprint = feed.fingerprint();
    if (config.train.init.empty()) {
      model.parameters().initialize(uint64_t(config.run.seed), model.config().initializer_range);
    } else {
      load_weights(config.train.init, model);
    }
  }
  return {state, saved.has_value()};
}

// The run's plan: the one that an earlier attempt made, or a new one before the first step of a run that is worth it; none for short runs, and
// none when the rehearsal is stopped: the next attempt makes it.
std::optional<LocalPlan> make_or_find_plan(const TrainConfig& config, const TrainOptions& options, const ModelConfig& shape,
                                           const MachineProbe& machine, const RunFolder& folder, const StopSignal& stop) {
  if (fs::exists(folder.plan())) {
    LocalPlan plan;
    load_fields(plan, read_json(folder.plan()), folder.plan().string());
    return plan;
  }
  const std::optional<TrainerState> saved = newest_checkpoint(folder.root());
  if (config.run.device != "cpu" || (saved && saved->step > 0)) return std::nullopt;
  const double rough_s = rough_seconds(config, shape, machine.fma_peak_gflops);
  if (rough_s < config.bill.plan_above_s) return std::nullopt;
  std::optional<LocalPlan> plan = rehearse(config, options.sample, rough_s, folder.root() / "step-rehearsal", [&] { return stop.asked(); });
  if (plan) write_file_atomic(folder.plan(), dump_json(dump_fields(*plan)));
  return plan;
}

}  // namespace

TrainSummary train(TrainConfig config, const TrainOptions& options) {
  const StopSignal stop;  // first: a signal while data and model are opened ends the run orderly too
  const Timer begun;
  set_deterministic(config.run.deterministic);
  const at::Device device = parse_device(config.run.device, "run.device");
  const fs::path root = fs::path(config.run.dir) / config.run.name;
  RowFeed feed(config, device);
  const ModelConfig shape = resolve_model_config(config, feed.vocab_size(), feed.bos_token_id(), feed.eos_token_id());
  const MlaAlgebra algebra = config.train.mla_algebra == "absorbed" ? MlaAlgebra::kAbsorbed : MlaAlgebra::kExpanded;
  const RunLength length = run_length(config.train, config.data.seq_len);
  const int64_t warmup_tokens = tokens_of_steps(config.train, config.data.seq_len, config.schedule.warmup_steps);

  check_before_start(config, shape, feed, bool(options.sample));

  RunFolder folder(root, options.mode);
  const AttemptLog attempts(folder.attempts(), device_count(config), begun, newest_checkpoint(root).has_value());
  EnergyCounter energy;
  const MachineProbe machine = probe_machine();
  forget_peak_memory();  // the probe reads up to a GiB of its own
  const std::optional<LocalPlan> plan = make_or_find_plan(config, options, shape, machine, folder, stop);
  Transformer model(shape, device, /*trainable=*/true);
  Optimizer optimizer(model.parameters(), config.optimizer);
  Position position = open_position(config, options, folder, feed, model, optimizer);
  TrainerState& state = position.state;
  bool resumed = position.resumed;
  model.set_precision(precision_plan(config.train, state.fallen_back));
  write_file_atomic(folder.config(), dump_toml(dump_fields(config)));
  TrainSummary summary;
  summary.folder = root;
  summary.step = state.step;
  summary.steps = length.steps;
  // The bill is a run's last file: one of all its tokens says that everything was done. One of fewer does not hold any more.
  if (fs::exists(folder.bill())) {
    summary.bill = read_bill(folder.bill());
    if (state.tokens >= length.tokens && summary.bill.tokens == state.tokens) return summary;
    fs::remove(folder.bill());
  }
  const Meter meter = make_meter(config, shape, machine, attempts, energy);
  state.machine = machine_label(meter.machine);
  MetricsLog log(folder.metrics(), state.metrics_bytes, state.machine);
  EventFile events(folder.events(), state.events_bytes, unix_seconds());
  RowsLog rows_log(options.rows_log);
  ProgressLine progress;
  progress.note(fmt::format("{}: {} parameters, {} steps, {} tokens; {}{}", root.string(),
                            human_count(double(model.parameters().values_P().numel())), length.steps, human_count(double(length.tokens)),
                            state.machine, resumed ? fmt::format(", resumed at step {}", state.step) : ""));
  if (plan)
    progress.note(fmt::format("planned: {}, {:.0f} tokens/s, {}", human_duration(3600 * plan->wall_hours), plan->tokens_per_s,
                              human_bytes(plan->memory_bytes)));

  std::optional<double> validation_bpb;
  const int64_t first_step = state.step;
  const Timer stepping;
  const auto save = [&] {
    log.sync();
    events.sync();
    save_checkpoint(root, model, optimizer, state, feed.tokenizer_folder());
    retain(root, config.checkpoint.keep_last, config.checkpoint.keep_every);
  };

  for (;; resumed = false) {
    const bool last = state.tokens >= length.tokens;
    const bool stopping = !last && stop.asked();

    // Once in a while. Saving comes first, so that nothing that happens in an evaluation or a sample loses a step; what the checkpoint knows
    // of the logs ends here too, and a resumed run evaluates and samples again.
    state.metrics_bytes = log.size();
    state.events_bytes = events.size();
    if (!resumed && (last || stopping || due(state.step, config.checkpoint.every))) save();
    if (stopping) break;
    if (last || (config.eval.every > 0 && state.step % config.eval.every == 0)) {
      const Validation validation = evaluate(model, algebra, feed.validation(last ? 0 : config.eval.tokens));
      log.append(eval_line(state.step, state.tokens, validation, meter.elapsed()));
      events.scalars(state.step, unix_seconds(), eval_scalars(validation));
      validation_bpb = validation.bpb;
      if (last) summary.val_bpb = validation.bpb;
      std::string acceptance;
      for (const double share : validation.mtp_acceptance) acceptance += fmt::format(", MTP acceptance {:.1f} %", 100 * share);
      progress.note(fmt::format("step {}: validation {:.4f} bits a byte{}", state.step, validation.bpb, acceptance));
    }
    if (options.sample && config.eval.sample_tokens > 0 && (last || due(state.step, config.eval.sample_every))) {
      const EvalSection& eval = config.eval;
      const std::string text =
          options.sample({model, feed.tokenizer_folder(), eval.sample_prompt, eval.sample_tokens, uint64_t(config.run.seed + state.step)});
      log.append(sample_line(state.step, eval.sample_prompt, text, meter.elapsed()));
      progress.note(fmt::format("sample: {}{}", eval.sample_prompt, text));
    }
    if (last) break;

    // One step.
    const Timer step_timer;
    const Age age{state.step, state.tokens, length.tokens};
    StepSettings settings;
    settings.step = state.step + 1;
    settings.batch_tokens = batch_tokens(config.train, config.data.seq_len, state.tokens);
    settings.tokens = state.tokens + settings.batch_tokens;
    settings.lr = learning_rate(config.schedule, config.optimizer.lr, age, warmup_tokens);
    settings.mtp_lambda = shape.num_nextn_predict_layers > 0 ? mtp_lambda(config.train, age) : 0;
    settings.bias_update_speed = shape.has_expert_bias() ? bias_update_speed(config.train, age) : 0;

    const std::vector<MicroBatch> micro_batches = feed.next_step(settings.batch_tokens);
    std::vector<RouterLog> routes;
    PrecisionAudit audit;
    const bool audited = config.train.precision == "fp8" && config.train.audit_every > 0 && state.step % config.train.audit_every == 0;
    const StepWeights weights = {algebra, settings.mtp_lambda, config.train.balance_alpha, config.train.z_loss, audited ? &audit : nullptr};
    const StepResult result = accumulate_gradients(model, micro_batches, weights, rows_log.wanted() ? &routes : nullptr);
    rows_log.append(settings.step, micro_batches, routes);
    if (const std::string wrong = nonfinite_report(model, result); !wrong.empty()) {
      save();
      FB_FAIL(
          "step {}: {}. The state before this step is in {}. Hint: a lower optimizer.lr, train.grad_clip, a longer schedule.warmup_steps",
          settings.step, wrong, (root / step_name(state.step)).string());
    }
    settings.clip_scale = clip_scale(result.grad_norm, config.train.grad_clip);
    optimizer.step(settings.lr, settings.step, result.grad_norm, config.train.grad_clip);
    update_expert_bias(model.parameters(), result.loads, settings.bias_update_speed);
    state.step = settings.step;
    state.tokens = settings.tokens;
    state.data_cursor = feed.cursor();
    if (audited) {
      const std::vector<std::string> fell = audit.below({config.train.snr_forward_db, config.train.snr_gradient_db});
      state.fallen_back.insert(state.fallen_back.end(), fell.begin(), fell.end());
      model.set_precision(precision_plan(config.train, state.fallen_back));
      log.append(audit_line(state.step, audit, fell, state.fallen_back, meter.elapsed()));
      events.scalars(state.step, unix_seconds(), audit_scalars(audit, state.fallen_back));
      for (const std::string& name : fell) {
        progress.note(fmt::format("step {}: {} is below its bar in fp8 and goes on in bf16", state.step, name));
      }
    }

    // One line.
    energy.poll();
    const double step_s = step_timer.seconds(), tokens_per_s = double(settings.batch_tokens) / step_s;
    const StepClock clock{meter.elapsed(), step_s, tokens_per_s, meter.peak_share(tokens_per_s), meter.usd()};
    const std::vector<RouterStats> router = router_view(result.loads, model.parameters());
    log.append(step_line(settings, result, router, clock));
    events.scalars(state.step, unix_seconds(), step_scalars(settings, result, router, clock));
    const double seconds_left = stepping.seconds() / double(state.step - first_step) * double(length.steps - state.step);
    progress.update({state.step, length.steps, result.main_loss, result.bpb, validation_bpb, settings.lr, result.grad_norm, tokens_per_s,
                     clock.peak_share, seconds_left, clock.usd},
                    state.tokens >= length.tokens);
  }

  summary.step = state.step;
  summary.stopped = state.tokens < length.tokens;
  summary.steps_done = state.step - first_step;
  summary.bill = make_bill(config, state, meter, plan);
  write_bill(folder.bill(), summary.bill);
  return summary;
}

}  // namespace finback
