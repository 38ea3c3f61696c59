#include "train/train.h"

#include <ATen/ATen.h>

#include "base/fields.h"
#include "base/file.h"
#include "base/pace.h"
#include "base/progress.h"
#include "base/status_line.h"
#include "base/toml.h"
#include "cost/memory_parts.h"
#include "machine/free_memory.h"
#include "model/device.h"
#include "model/row_probe.h"
#include "train/checkpoint_room.h"
#include "train/odd_settings.h"
#include "train/open_run.h"
#include "train/optimizer_step.h"
#include "train/peak_memory.h"
#include "train/preflight.h"
#include "train/rehearsal.h"
#include "train/run_bill.h"
#include "train/run_journal.h"
#include "train/run_log.h"
#include "train/run_meter.h"
#include "train/schedule.h"
#include "train/stop_signal.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

bool due(int64_t step, int64_t every) { return every > 0 && step > 0 && step % every == 0; }

// What Ctrl-C says, by what the loop is at. A second one ends the process where it is: checkpoints are whole or not there.
constexpr const char* kOpening = "nothing is trained yet by this command, so there is nothing to save. Ctrl-C again leaves at once";
constexpr const char* kStepping =
    "this step is finished and saved, then the run ends. Ctrl-C again leaves at once, without the steps behind the last checkpoint";
constexpr const char* kEvaluating =
    "the evaluation is left (a resumed run makes it), the step before it is saved, then the run ends. Ctrl-C again leaves at once, without "
    "the steps "
    "behind the last checkpoint";
constexpr const char* kSampling =
    "the text sample is finished, the step before it saved, then the run ends. Ctrl-C again leaves at once, without the steps behind the "
    "last checkpoint";
constexpr const char* kSaving =
    "the checkpoint is written to its end, then the run ends. Ctrl-C again leaves at once; the checkpoint before it stays";
constexpr const char* kLastEvaluating =
    "all steps are trained and saved; the last evaluation is left (--resume makes it). Ctrl-C again leaves at once";
constexpr const char* kLastSampling =
    "all steps are trained and saved; the run ends behind the last text sample. Ctrl-C again leaves at once (--resume makes it)";

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
  const InheritedFiles& inherited;
  RunMeter& meter;
  RunJournal& journal;
  RowsLog& rows_log;
  const StopSignal& stop;
  MlaAlgebra algebra = parse_mla_algebra(config.train.mla_algebra);
  int64_t warmup_tokens = tokens_of_steps(config.train, config.data.seq_len, config.schedule.warmup_steps);
  int64_t first_step = state.step;
  Pace pace{};  // in tokens
  Timer since_step{};

  void save() {
    stop.announce(kSaving);
    try {
      journal.sync();
      save_checkpoint(root, model, optimizer, state, feed.tokenizer_folder(), inherited);
      retain(root, config.checkpoint.keep_last, config.checkpoint.keep_every);
    } catch (const Error& e) {
      const std::vector<int64_t> steps = finished_steps(root);
      FB_FAIL("{}. {}", e.what(),
              steps.empty() ? "Nothing was saved yet"
                            : fmt::format("The last whole checkpoint is {}: --resume goes on from it", step_name(steps.back())));
    }
  }

  // Nothing when it was stopped.
  std::optional<Validation> evaluate_part(bool last) {
    stop.announce(last ? kLastEvaluating : kEvaluating);
    const int64_t split = feed.validation_rows() * config.data.seq_len, part = last || config.eval.tokens == 0 ? split : config.eval.tokens;
    journal.end_line();
    Progress progress(last ? "last evaluation, whole split" : "evaluation", double(std::min(part, split)), "tokens");
    const std::optional<Validation> validation = evaluate_until(
        model, algebra, feed.validation(last ? 0 : config.eval.tokens), [&] { return stop.asked(); },
        [&](int64_t targets) { progress.update(double(targets)); });
    if (!validation) return std::nullopt;
    progress.finish();
    journal.evaluation(state.step, state.tokens, *validation, meter.elapsed_s());
    return validation;
  }

  void sample(bool last) {
    stop.announce(last ? kLastSampling : kSampling);
    const EvalSection& eval = config.eval;
    const std::string text =
        options.sample({model, feed.tokenizer_folder(), eval.sample_prompt, eval.sample_tokens, uint64_t(config.run.seed + state.step)});
    journal.sample(state.step, eval.sample_prompt, text, meter.elapsed_s());
  }

  // Throws Error for a loss or gradient that is not finite, after saving the state before the step.
  void step() {
    stop.announce(kStepping);
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
bool run_loop(TrainLoop& loop, bool resumed, TrainSummary& summary) {
  const TrainConfig& config = loop.config;
  TrainerState& state = loop.state;
  for (;; resumed = false) {
    const bool last = state.tokens >= loop.length.tokens;
    state.metrics_bytes = loop.journal.metrics_bytes();
    state.events_bytes = loop.journal.events_bytes();
    const auto stopped = [&] {
      if (loop.stop.asked()) loop.save();  // nothing to do where this step is saved
      return loop.stop.asked();
    };
    if (!resumed && (last || due(state.step, config.checkpoint.every))) loop.save();
    if (stopped()) return false;
    if (last || (config.eval.every > 0 && state.step % config.eval.every == 0)) {
      const std::optional<Validation> validation = loop.evaluate_part(last);
      if (last && validation) summary.val_bpb = validation->bpb;
      if (stopped() && !(last && validation)) return false;
    }
    if (loop.options.sample && config.eval.sample_tokens > 0 && (last || due(state.step, config.eval.sample_every))) loop.sample(last);
    if (last) return true;
    if (stopped()) return false;
    loop.step();
  }
}

// A run folder's recipe and model, which work from every folder and however the inputs are moved or changed since.
void write_recipe(const RunFolder& folder, TrainConfig config, const Json& model_keys) {
  write_file_atomic(folder.model(), dump_json(model_keys));
  config.model.config = folder.model().filename().string();
  write_file_atomic(folder.config(), dump_toml(dump_fields(config)));
}

void check_training_memory(const TrainConfig& config, const ModelConfig& shape) {
  const int64_t seq_len = config.data.seq_len,
                micro = config.train.micro_batch_tokens > 0 ? config.train.micro_batch_tokens : config.train.batch_tokens;
  const auto parts_of = [&](int64_t tokens) {
    return memory_parts(shape, {.trains = true, .precision = parse_precision(config.train.precision, "train.precision"), .tokens = tokens});
  };
  const FreeMemory free = free_memory();
  int64_t rows = micro / seq_len;
  while (rows > 1 && total_bytes(parts_of(rows * seq_len)) > free.bytes) rows /= 2;
  const bool fits = total_bytes(parts_of(rows * seq_len)) <= free.bytes;
  check_memory(
      parts_of(micro), free.bytes, free.limit,
      (fits ? fmt::format("--train.micro_batch_tokens={} fits (the same training)", rows * seq_len) : std::string("a smaller model")) +
          "; --anyway starts all the same");
}

}  // namespace

TrainSummary train(TrainConfig config, const TrainOptions& options) {
  const StopSignal stop;  // first: a signal while data and model are opened ends the run orderly too
  stop.announce(kOpening);
  const Timer begun;
  if (config.run.deterministic) make_deterministic();
  const at::Device device = parse_device(config.run.device, "run.device");
  check_paths(config);
  const fs::path root = fs::path(config.run.dir) / config.run.name;
  RowFeed feed(config, device);
  const ModelConfig shape = resolve_model_config(config, feed.vocab_size(), feed.bos_token_id(), feed.eos_token_id());
  const Json model_keys = resolve_model_keys(config, feed.vocab_size(), feed.bos_token_id(), feed.eos_token_id());
  check_before_start(config, shape, feed, bool(options.sample));
  const bool goes_on = options.mode == OpenMode::kResume && fs::exists(root) && newest_checkpoint(root).has_value();
  if (const std::string why = feed.why_older_than_corpus(); !why.empty()) {
    // A run that goes on goes on with what it was trained on.
    FB_CHECK(goes_on || options.anyway,
             "{}, and tokenizer train before it for a vocabulary of the new text; --anyway trains on the old one", why);
    warn("warning: " + why);
  }
  if (!goes_on) check_init(config.train.init, shape, root, feed.tokenizer_folder(), config.model.config);
  if (!options.anyway) {
    if (device.is_cpu()) check_training_memory(config, shape);
    check_checkpoint_room(config, shape, root, options.mode);
  }
  RowsLog rows_log(options.rows_log);
  RunFolder folder(root, options.mode);
  RunLog log;

  const RunLength length = run_length(config.train, config.data.seq_len);
  TrainSummary summary;
  summary.folder = root;
  summary.steps = length.steps;
  const auto stopped_before_a_step = [&](int64_t step) {
    summary.step = step, summary.stopped_by = stop.number(), summary.saved = goes_on;
    if (options.mode != OpenMode::kOverwrite) summary.bill = run_bill(root).value_or(Bill{});
    summary.bill.status = unfinished_status("stopped", step, length.steps);  // the folder is held still, by this process
    return summary;
  };
  // What is another run's stays until this one is open: its model allocated, its weights read. Hours count from the beginning.
  std::optional<AttemptLog> attempts;
  if (options.mode != OpenMode::kOverwrite) attempts.emplace(folder.attempts(), device_count(config), begun, goes_on);
  EnergyCounter energy;
  const MachineProbe machine = probe_machine(device);
  forget_peak_memory();  // the probe reads up to a GiB of its own
  const std::optional<LocalPlan> plan = make_or_find_plan(config, options, shape, feed, machine, folder, stop);
  if (stop.asked()) return stopped_before_a_step(goes_on ? newest_checkpoint(root)->step : 0);
  stop.announce(kOpening);
  Transformer model(shape, device, /*trainable=*/true);
  Optimizer optimizer(model.parameters(), config.optimizer);
  OpenedRun opened = open_run(config, options, folder, feed, model, optimizer);
  TrainerState& state = opened.state;
  if (stop.asked()) return stopped_before_a_step(state.step);

  folder.clear();
  rows_log.open();
  if (!attempts) attempts.emplace(folder.attempts(), device_count(config), begun, false);
  if (LocalPlan copy = plan.value_or(LocalPlan{}); plan) {  // the same again, but for a new run and one of another length
    if (const std::string text = dump_json(dump_fields(copy)); !fs::exists(folder.plan()) || read_file(folder.plan()) != text)
      write_file_atomic(folder.plan(), text);
  }
  log.open(folder.log());
  if (!config.remark.empty()) log.say(config.remark);
  for (const std::string& remark : odd_settings(config, shape, feed.epoch_tokens())) log.say("warning: " + remark);
  write_recipe(folder, config, model_keys);
  summary.step = state.step;
  // The bill is a run's last file: one of all its tokens says that everything was done. One of fewer does not hold any more.
  if (fs::exists(folder.bill())) {
    summary.bill = read_bill(folder.bill());
    if (state.tokens >= length.tokens && summary.bill.tokens == state.tokens) return summary;
    fs::remove(folder.bill());
  }
  RunMeter meter(config, shape, machine, *attempts, energy);
  state.machine = meter.label();
  try {
    RunJournal journal(folder, state.metrics_bytes, state.events_bytes, state.machine, log);
    const double parameters = double(model.parameters().values_P().numel());
    journal.note(fmt::format("{}: {} parameters, {} steps, {} tokens ({:.3g} a parameter, the text {:.3g} times); {}{}", root.string(),
                             human_count(parameters), length.steps, human_count(double(length.tokens)), double(length.tokens) / parameters,
                             double(length.tokens) / double(feed.epoch_tokens()), state.machine,
                             opened.resumed ? fmt::format(", resumed at step {}", state.step) : ""));
    if (plan)
      journal.note(fmt::format("planned: {}, {:.0f} tokens/s, {}", human_duration(3600 * plan->wall_hours), plan->tokens_per_s,
                               human_bytes(plan->memory_bytes)));
    TrainLoop loop{config, options, shape, length, root, feed, model, optimizer, state, opened.inherited, meter, journal, rows_log, stop};
    const bool finished = run_loop(loop, opened.resumed, summary);
    if (!finished) summary.stopped_by = stop.number();
    summary.step = state.step;
    summary.steps_done = state.step - loop.first_step;
  } catch (const std::exception& e) {
    log.line(fmt::format("ended: {}", e.what()));
    throw;
  }
  summary.bill = meter.bill(config, state, plan);
  if (summary.stopped_by == 0) {
    write_bill(folder.bill(), summary.bill);
    log.line("done");
  } else {
    summary.bill.finished = false;
    summary.bill.status = unfinished_status("stopped", state.step, length.steps);
    log.line(fmt::format("stopped by signal {} at step {} of {}", summary.stopped_by, state.step, length.steps));
  }
  return summary;
}

}  // namespace finback
