#include "train/train.h"

#include <ATen/ATen.h>

#include "base/fields.h"
#include "base/file.h"
#include "base/pace.h"
#include "base/toml.h"
#include "model/device.h"
#include "model/row_probe.h"
#include "train/open_run.h"
#include "train/optimizer_step.h"
#include "train/peak_memory.h"
#include "train/preflight.h"
#include "train/rehearsal.h"
#include "train/run_journal.h"
#include "train/run_meter.h"
#include "train/schedule.h"
#include "train/stop_signal.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

bool due(int64_t step, int64_t every) { return every > 0 && step > 0 && step % every == 0; }

// What the loop works on; the parts of its body.
struct TrainLoop {
  const TrainConfig& config;
  const TrainOptions& options;
  const ModelConfig& shape;
  RunLength length;
  fs::path root;
  RowFeed& feed;
  Transformer& model;
  Optimizer& optimizer;
  TrainerState& state;
  RunMeter& meter;
  RunJournal& journal;
  RowsLog rows_log;
  MlaAlgebra algebra = parse_mla_algebra(config.train.mla_algebra);
  int64_t warmup_tokens = tokens_of_steps(config.train, config.data.seq_len, config.schedule.warmup_steps);
  int64_t first_step = state.step;
  Pace pace{};  // in tokens
  Timer since_step{};

  void save() {
    journal.sync();
    save_checkpoint(root, model, optimizer, state, feed.tokenizer_folder());
    retain(root, config.checkpoint.keep_last, config.checkpoint.keep_every);
  }

  Validation evaluate_part(bool last) {
    const Validation validation = evaluate(model, algebra, feed.validation(last ? 0 : config.eval.tokens));
    journal.evaluation(state.step, state.tokens, validation, meter.elapsed_s());
    return validation;
  }

  void sample() {
    const EvalSection& eval = config.eval;
    const std::string text =
        options.sample({model, feed.tokenizer_folder(), eval.sample_prompt, eval.sample_tokens, uint64_t(config.run.seed + state.step)});
    journal.sample(state.step, eval.sample_prompt, text, meter.elapsed_s());
  }

  // Throws Error for a loss or gradient that is not finite, after saving the state before the step.
  void step() {
    const Timer timer;
    const Age age{state.step, state.tokens, length.tokens};
    const int64_t tokens = batch_tokens(config.train, config.data.seq_len, state.tokens);
    PrecisionAudit audit;
    const bool audited = config.train.precision == "fp8" && config.train.audit_every > 0 && state.step % config.train.audit_every == 0;
    StepSettings settings = scheduled_step(config, shape, age, warmup_tokens);
    settings.loss.audit = audited ? &audit : nullptr;
    const std::vector<MicroBatch> micro_batches = feed.next_step(tokens);
    std::vector<RouterLog> routes;
    const StepRecord record = optimizer_step(model, optimizer, micro_batches, settings, rows_log.wanted() ? &routes : nullptr);
    rows_log.append(settings.step, micro_batches, routes);
    if (!record.not_finite.empty()) {
      save();
      FB_FAIL(
          "step {}: {}. The state before this step is in {}. Hint: a lower optimizer.lr, train.grad_clip, a longer schedule.warmup_steps",
          settings.step, record.not_finite, (root / step_name(state.step)).string());
    }
    state.step = settings.step;
    state.tokens += tokens;
    state.data_cursor = feed.cursor();
    if (audited) settle_audit(audit);
    write_step(record, tokens, timer.seconds());
  }

  // Sub-layers below their signal-to-noise threshold go on in bf16.
  void settle_audit(const PrecisionAudit& audit) {
    const std::vector<std::string> fell = audit.below({config.train.snr_forward_db, config.train.snr_gradient_db});
    state.fallen_back.insert(state.fallen_back.end(), fell.begin(), fell.end());
    model.set_precision(precision_plan(config.train, state.fallen_back));
    journal.audit(state.step, audit, fell, state.fallen_back, meter.elapsed_s());
  }

  void write_step(const StepRecord& record, int64_t tokens, double step_s) {
    meter.poll_energy();
    const double tokens_per_s = double(tokens) / step_s;
    const StepClock clock{meter.elapsed_s(), step_s, tokens_per_s, meter.peak_share(tokens_per_s), meter.usd()};
    pace.pause(since_step.seconds() - step_s);
    pace.advance(double(tokens), step_s);
    since_step.restart();
    journal.step(record, {state.tokens, tokens, state.tokens >= length.tokens}, clock, router_view(record.result.loads, model.parameters()),
                 length.steps, pace.seconds_left(double(length.tokens - state.tokens)));
  }
};

// Returns whether the run came to its end. Saving comes first, so that nothing that happens in an evaluation or a sample loses a step; what the
// checkpoint knows of the logs ends there too, and a resumed run evaluates and samples again.
bool run_loop(TrainLoop& loop, bool resumed, const StopSignal& stop, TrainSummary& summary) {
  const TrainConfig& config = loop.config;
  TrainerState& state = loop.state;
  for (;; resumed = false) {
    const bool last = state.tokens >= loop.length.tokens;
    const bool stopping = !last && stop.asked();
    state.metrics_bytes = loop.journal.metrics_bytes();
    state.events_bytes = loop.journal.events_bytes();
    if (!resumed && (last || stopping || due(state.step, config.checkpoint.every))) loop.save();
    if (stopping) return false;
    if (last || (config.eval.every > 0 && state.step % config.eval.every == 0)) {
      const Validation validation = loop.evaluate_part(last);
      if (last) summary.val_bpb = validation.bpb;
    }
    if (loop.options.sample && config.eval.sample_tokens > 0 && (last || due(state.step, config.eval.sample_every))) loop.sample();
    if (last) return true;
    loop.step();
  }
}

}  // namespace

TrainSummary train(TrainConfig config, const TrainOptions& options) {
  const StopSignal stop;  // first: a signal while data and model are opened ends the run orderly too
  const Timer begun;
  if (config.run.deterministic) make_deterministic();
  const at::Device device = parse_device(config.run.device, "run.device");
  const fs::path root = fs::path(config.run.dir) / config.run.name;
  RowFeed feed(config, device);
  const ModelConfig shape = resolve_model_config(config, feed.vocab_size(), feed.bos_token_id(), feed.eos_token_id());
  check_before_start(config, shape, feed, bool(options.sample));
  RunFolder folder(root, options.mode);
  const AttemptLog attempts(folder.attempts(), device_count(config), begun, newest_checkpoint(root).has_value());
  EnergyCounter energy;
  const MachineProbe machine = probe_machine(device);
  forget_peak_memory();  // the probe reads up to a GiB of its own
  const std::optional<LocalPlan> plan = make_or_find_plan(config, options, shape, machine, folder, stop);
  Transformer model(shape, device, /*trainable=*/true);
  Optimizer optimizer(model.parameters(), config.optimizer);
  OpenedRun opened = open_run(config, options, folder, feed, model, optimizer);
  TrainerState& state = opened.state;
  write_file_atomic(folder.config(), dump_toml(dump_fields(config)));

  const RunLength length = run_length(config.train, config.data.seq_len);
  TrainSummary summary;
  summary.folder = root;
  summary.steps = length.steps;
  summary.step = state.step;
  // The bill is a run's last file: one of all its tokens says that everything was done. One of fewer does not hold any more.
  if (fs::exists(folder.bill())) {
    summary.bill = read_bill(folder.bill());
    if (state.tokens >= length.tokens && summary.bill.tokens == state.tokens) return summary;
    fs::remove(folder.bill());
  }
  RunMeter meter(config, shape, machine, attempts, energy);
  state.machine = meter.label();
  RunJournal journal(folder, state.metrics_bytes, state.events_bytes, state.machine);
  journal.note(fmt::format("{}: {} parameters, {} steps, {} tokens; {}{}", root.string(),
                           human_count(double(model.parameters().values_P().numel())), length.steps, human_count(double(length.tokens)),
                           state.machine, opened.resumed ? fmt::format(", resumed at step {}", state.step) : ""));
  if (plan)
    journal.note(fmt::format("planned: {}, {:.0f} tokens/s, {}", human_duration(3600 * plan->wall_hours), plan->tokens_per_s,
                             human_bytes(plan->memory_bytes)));
  TrainLoop loop{config, options, shape, length, root, feed, model, optimizer, state, meter, journal, RowsLog(options.rows_log)};
  summary.stopped = !run_loop(loop, opened.resumed, stop, summary);
  summary.step = state.step;
  summary.steps_done = state.step - loop.first_step;
  summary.bill = meter.bill(config, state, plan);
  write_bill(folder.bill(), summary.bill);
  return summary;
}

}  // namespace finback
