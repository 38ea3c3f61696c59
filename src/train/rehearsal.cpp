#include "train/rehearsal.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/pool.h"
#include "base/timer.h"
#include "cost/flops.h"
#include "model/precision_audit.h"
#include "train/checkpointing.h"
#include "train/evaluation.h"
#include "train/optimizer_step.h"
#include "train/peak_memory.h"
#include "train/preflight.h"
#include "train/row_feed.h"
#include "train/schedule.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

constexpr double kLeastSteps = 3, kMostSteps = 8;  // seconds of timed steps
constexpr double kShareForSteps = 0.02;
constexpr int64_t kEvaluatedTokens = 8192;
constexpr double kRehearsedLr = 1e-4;  // weights must move; how far does not matter

int64_t rounded_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The run's own objects, made again.
struct Stage {
  const TrainConfig& config;
  RowFeed feed;
  Transformer model;
  Optimizer optimizer;
  int64_t step = 0;

  explicit Stage(const TrainConfig& c)
      : config(c),
        feed(c, at::kCPU),
        model(resolve_model_config(c, feed.vocab_size(), feed.bos_token_id(), feed.eos_token_id()), at::kCPU, /*trainable=*/true),
        optimizer(model.parameters(), c.optimizer) {
    model.parameters().initialize(uint64_t(c.run.seed), model.config().initializer_range);
    model.set_precision(precision_plan(c.train, {}));
  }
};

// Tokens of a timed step: the batch, but of many micro-batches no more than take about two seconds.
int64_t rehearsed_tokens(const TrainConfig& config, double rough_token_s) {
  const int64_t batch = config.train.batch_tokens, micro = config.train.micro_batch_tokens;
  if (micro <= 0 || micro >= batch) return batch;
  return std::clamp<int64_t>(int64_t(2 / rough_token_s) / micro * micro, micro, batch);
}

// The run's first step, at a learning rate that moves the weights.
StepRecord timed_step(Stage& stage, int64_t tokens, PrecisionAudit* audit) {
  StepSettings settings = scheduled_step(stage.config, stage.model.config(), {stage.step++, 0, 1}, 0);
  settings.lr = kRehearsedLr;
  settings.loss.audit = audit;
  const Timer rows;
  const std::vector<MicroBatch> micro_batches = stage.feed.next_step(tokens);
  const double rows_s = rows.seconds();
  StepRecord record = optimizer_step(stage.model, stage.optimizer, micro_batches, settings);
  record.gradients_s += rows_s;
  return record;
}

void time_steps(Stage& stage, LocalRun& run, double budget_s, int64_t tokens, const std::function<bool()>& stop) {
  // The first two pay for page faults and buffers of packing; where steps are long, one must do.
  const StepRecord first = timed_step(stage, tokens, nullptr);
  if (first.gradients_s < budget_s / 2 && !stop()) timed_step(stage, tokens, nullptr);
  double gradients_s = 0, update_s = 0;
  while (gradients_s + update_s < budget_s) {
    if (stop()) return;
    const StepRecord record = timed_step(stage, tokens, nullptr);
    gradients_s += record.gradients_s, update_s += record.update_s, ++run.rehearsed_steps;
  }
  // The mean, not the median: the run pays for slow steps too.
  run.token_s = gradients_s / (run.rehearsed_steps * double(tokens));
  run.update_s = update_s / run.rehearsed_steps;
  if (run.audits == 0) return;
  PrecisionAudit audit;
  run.audit_s = std::max(0.0, timed_step(stage, tokens, &audit).gradients_s - run.token_s * double(tokens));
}

void time_evaluation(Stage& stage, LocalRun& run) {
  const Timer timer;
  const Validation validation =
      evaluate(stage.model, parse_mla_algebra(stage.config.train.mla_algebra), stage.feed.validation(kEvaluatedTokens));
  run.evaluated_token_s = timer.seconds() / double(std::max<int64_t>(1, validation.targets));
}

void time_checkpoint(const Stage& stage, LocalRun& run, const fs::path& scratch) {
  struct Removed {
    const fs::path& path;
    ~Removed() {
      std::error_code ignored;
      fs::remove_all(path, ignored);
    }
  } const removed{scratch};
  fs::create_directories(scratch);
  TrainerState state;
  const Timer timer;
  save_checkpoint(scratch, stage.model, stage.optimizer, state, stage.feed.tokenizer_folder());
  run.checkpoint_s = timer.seconds();
}

}  // namespace

LocalRun counted_run(const TrainConfig& config, int64_t validation_tokens, bool samples) {
  const RunLength length = run_length(config.train, config.data.seq_len);
  // Times that something happens behind a step before the last one, and where asked before the first.
  const auto before_end = [&](int64_t every, bool first) { return every > 0 ? (length.steps - 1) / every + (first ? 1 : 0) : int64_t{0}; };
  const EvalSection& eval = config.eval;
  LocalRun run;
  run.steps = double(length.steps), run.tokens = double(length.tokens);
  const int64_t part = eval.tokens > 0 ? std::min(eval.tokens, validation_tokens) : validation_tokens;
  run.evaluated_tokens = double(before_end(eval.every, true)) * double(part) + double(validation_tokens);
  run.samples = samples && eval.sample_tokens > 0 ? double(1 + before_end(eval.sample_every, false)) : 0;
  run.checkpoints = double(1 + before_end(config.checkpoint.every, false));
  run.audits =
      config.train.precision == "fp8" && config.train.audit_every > 0 ? double(rounded_up(length.steps, config.train.audit_every)) : 0;
  run.devices = double(std::min(threads(), available_cores()));
  return run;
}

double rough_seconds(const TrainConfig& config, const ModelConfig& shape, double fma_peak_gflops) {
  const double flops =
      train_flops_per_token(shape_of(shape), double(config.data.seq_len), AttentionCount::kCausal, config.train.mtp_lambda > 0);
  return double(run_length(config.train, config.data.seq_len).tokens) * flops / (fma_peak_gflops * 1e9 / 3);
}

std::optional<LocalPlan> rehearse(const TrainConfig& config, const SampleText& sample, double rough_s, const fs::path& scratch,
                                  const std::function<bool()>& stop) {
  FB_ASSERT(config.run.device == "cpu", "a rehearsal is timed on the CPU");
  forget_peak_memory();  // the probe's
  const Timer whole;
  LocalRun run;
  {
    const Timer start;
    Stage stage(config);
    run = counted_run(config, stage.feed.validation_rows() * config.data.seq_len, bool(sample));
    run.start_s = start.seconds();
    const double budget_s = std::clamp(kShareForSteps * rough_s, kLeastSteps, kMostSteps);
    if (stop()) return std::nullopt;
    time_steps(stage, run, budget_s, rehearsed_tokens(config, rough_s / run.tokens), stop);
    if (stop()) return std::nullopt;
    time_evaluation(stage, run);
    if (stop()) return std::nullopt;
    time_checkpoint(stage, run, scratch);
    if (stop()) return std::nullopt;
    if (run.samples > 0) {
      const Timer timer;
      sample({stage.model, stage.feed.tokenizer_folder(), config.eval.sample_prompt, config.eval.sample_tokens, 1});
      run.sample_s = timer.seconds();
    }
    run.memory_bytes = double(peak_memory_bytes());
  }
  forget_peak_memory();
  run.rehearsal_s = whole.seconds();
  return plan_local(run);
}

}  // namespace finback
