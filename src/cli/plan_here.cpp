#include "cli/plan_here.h"

#include <cmath>

#include "base/fields.h"
#include "base/pool.h"
#include "base/timer.h"
#include "cost/local_plan.h"
#include "cost/memory.h"
#include "cost/model_size.h"
#include "cost/prices.h"
#include "train/bench_step.h"
#include "train/row_feed.h"
#include "train/train_config.h"

namespace finback {
namespace {

double times(int64_t steps, int64_t every) { return every > 0 ? double(steps / every) : 0; }

}  // namespace

Json plan_here(const std::string& recipe, double rate) {
  const TrainConfig config = load_train_config(recipe, {});
  RowFeed feed(config, at::kCPU);
  const ModelConfig shape = resolve_model_config(config, feed.vocab_size(), feed.bos_token_id(), feed.eos_token_id());
  StepBench bench;
  bench.batch_tokens = config.train.batch_tokens, bench.seq_len = config.data.seq_len, bench.steps = 6;
  bench.with_mtp = config.train.mtp_lambda > 0;
  const Json measured = bench_training_step(shape, bench);
  LocalRun run;
  run.batch_tokens = double(config.train.batch_tokens);
  const int64_t steps = config.train.steps > 0 ? config.train.steps : int64_t(std::ceil(double(config.train.tokens) / run.batch_tokens));
  run.tokens = double(steps) * run.batch_tokens;
  run.measured_tokens_per_s = measured.at("tokens_per_s_median").get<double>();
  run.evaluated_tokens = times(steps, config.eval.every) * double(config.eval.tokens);
  run.sampled_tokens = (1 + times(steps, config.eval.sample_every)) * double(config.eval.sample_tokens);
  run.checkpoints = 1 + times(steps, config.checkpoint.every);
  run.checkpoint_bytes = 12 * double(model_size(shape).total());
  run.devices = threads();
  const Price price = price_of("cpu");
  run.usd_per_device_hour = rate > 0 ? rate : price.usd_per_hour;
  LocalPlan plan = plan_local(run);
  Json json = dump_fields(plan);
  json["tokens"] = run.tokens, json["steps"] = steps, json["devices"] = run.devices;
  json["measured_tokens_per_s"] = run.measured_tokens_per_s, json["measured_steps"] = bench.steps;
  json["memory_bytes"] =
      train_memory(shape, config.train.micro_batch_tokens > 0 ? config.train.micro_batch_tokens : config.train.batch_tokens).total();
  json["usd_per_device_hour"] = run.usd_per_device_hour;
  json["price"] = rate > 0 ? "the rate that the user gave" : price.what, json["price_source"] = rate > 0 ? "the user" : price.source;
  json["price_date"] = rate > 0 ? "" : price.date;
  return json;
}

std::string plan_here_text(const Json& j) {
  const auto n = [&](const char* key) { return j.at(key).get<double>(); };
  std::string text = fmt::format("on this machine, {:.0f} threads: {:.0f} steps, {:.0f} tokens\n", n("devices"), n("steps"), n("tokens"));
  const auto line = [&](const char* name, const std::string& value) { text += fmt::format("  {:<12} {}\n", name, value); };
  line("measured", fmt::format("{:.0f} tokens/s over {:.0f} steps", n("measured_tokens_per_s"), n("measured_steps")));
  line("seconds", fmt::format("{:.1f} training, {:.1f} evaluation, {:.1f} checkpoints, {:.1f} samples", n("train_s"), n("evaluate_s"),
                              n("checkpoint_s"), n("sample_s")));
  line("hours",
       fmt::format("{:.4f} wall, {:.4f} cpu-hours; {:.0f} tokens/s over the run", n("wall_hours"), n("device_hours"), n("tokens_per_s")));
  line("memory", human_bytes(n("memory_bytes")));
  line("total", fmt::format("${:.4f} at ${:.4f} a cpu-hour: {} [{}]", n("usd"), n("usd_per_device_hour"), j.at("price").get<std::string>(),
                            j.at("price_source").get<std::string>()));
  return text;
}

}  // namespace finback
