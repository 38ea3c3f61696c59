#include "train/bench_step.h"

#include <ATen/ATen.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <vector>

#include "base/rng.h"
#include "base/timer.h"
#include "cost/flops.h"
#include "machine/figure.h"
#include "model/row_probe.h"
#include "train/live_bytes.h"
#include "train/optimizer_step.h"

namespace finback {
namespace {

// Random ids in rows of seq_len; the target is the next token of the row, the last one has none.
MicroBatch random_rows(const ModelConfig& config, const StepBench& options, int64_t step) {
  const int64_t tokens = options.batch_tokens, seq_len = options.seq_len;
  at::Tensor tokens_T = at::empty({tokens}, at::kLong), targets_T = at::empty({tokens}, at::kLong);
  int64_t* ids = tokens_T.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < tokens; ++i) {
    const auto words = philox(Stream::kTest, uint64_t(step), uint64_t(i));
    ids[i] = int64_t(uniform_below(words[0], words[1], uint64_t(config.vocab_size)));
  }
  int64_t* targets = targets_T.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < tokens; ++i) targets[i] = (i + 1) % seq_len == 0 ? -1 : ids[i + 1];
  std::vector<int64_t> starts;
  for (int64_t row = 0; row <= tokens / seq_len; ++row) starts.push_back(row * seq_len);
  MicroBatch micro{packed_batch(tokens_T, at::arange(tokens).remainder(seq_len), starts), targets_T, tokens - tokens / seq_len, tokens};
  micro.batch.balance_starts = starts;
  return micro;
}

// Returns the bytes that the forward pass left for the backward pass.
int64_t one_step(Transformer& model, Optimizer& optimizer, const MicroBatch& micro, const StepBench& options, int64_t step) {
  const int64_t before = live_tensor_bytes();
  int64_t kept = 0;
  StepSettings settings;
  settings.step = step, settings.lr = 1e-4, settings.grad_clip = 1;
  settings.loss = {options.algebra, 0.3, 1e-4};
  settings.loss.before_backward = [&] { kept = live_tensor_bytes() - before; };
  const StepRecord record = optimizer_step(model, optimizer, {micro}, settings);
  FB_CHECK(record.not_finite.empty(), "the loss of random ids is not finite: {}", record.not_finite);
  return kept;
}

}  // namespace

Json bench_training_step(ModelConfig config, const StepBench& options) {
  FB_CHECK(options.seq_len > 1 && options.batch_tokens % options.seq_len == 0,
           "expected --batch-tokens in whole rows of --seq-len {}, got {}", options.seq_len, options.batch_tokens);
  if (!options.with_mtp) config.num_nextn_predict_layers = 0;
  count_tensor_bytes();
  Transformer model(config, at::kCPU, /*trainable=*/true);
  model.parameters().initialize(1, config.initializer_range);
  model.set_precision({options.precision, options.precision, {}});
  OptimizerSection optimizer_config;
  Optimizer optimizer(model.parameters(), optimizer_config);
  std::vector<double> seconds, cpu_seconds;
  int64_t kept = 0;
  for (int64_t step = 0; step < options.steps + 2; ++step) {
    const MicroBatch micro = random_rows(config, options, step);
    const Timer timer;
    const std::clock_t cpu = std::clock();
    kept = one_step(model, optimizer, micro, options, step + 1);
    if (step < 2) continue;  // the first two pay for page faults and packing buffers
    seconds.push_back(timer.seconds());
    cpu_seconds.push_back(double(std::clock() - cpu) / CLOCKS_PER_SEC);
  }
  const double step_s = median(seconds), rate = double(options.batch_tokens) / step_s;
  struct rusage usage {};
  getrusage(RUSAGE_SELF, &usage);
  const MachineProbe probe = probe_machine();  // after the peak was read: it maps memory of its own
  const double flops = train_flops_per_token(shape_of(config), double(options.seq_len), AttentionCount::kCausal, options.with_mtp);
  Json json;
  json["figure"] = "step";
  json["batch_tokens"] = options.batch_tokens;
  json["seq_len"] = options.seq_len;
  json["precision"] = precision_name(options.precision);
  json["tokens_per_s_median"] = rate;
  json["step_ms_median"] = step_s * 1e3;
  json["step_ms_min"] = *std::min_element(seconds.begin(), seconds.end()) * 1e3;
  json["step_cpu_ms_median"] = median(cpu_seconds) * 1e3;  // of all threads: what a busy neighbour changes least
  json["backward_bytes"] = kept;
  json["peak_memory_bytes"] = int64_t(usage.ru_maxrss) * 1024;
  const double gflops = rate * flops / 1e9,
               peak = std::max(probe.fma_peak_gflops, gflops);  // the probe is of one moment: no share exceeds 1
  json["fma_peak_gflops"] = peak;
  json["share_of_peak"] = gflops / peak;
  add_machine(json, probe);
  return json;
}

}  // namespace finback
