#include "train/run_bill.h"

#include <fstream>

#include "base/fields.h"
#include "base/file.h"
#include "base/toml.h"
#include "cost/flops.h"
#include "cost/local_plan.h"
#include "cost/prices.h"
#include "train/attempts.h"
#include "train/run_folder.h"
#include "train/schedule.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

// The last step's line; a line that was torn by a kill is none.
Json last_step(const fs::path& metrics) {
  Json last;
  std::ifstream file(metrics);
  for (std::string line; std::getline(file, line);) {
    if (line.find("\"step_s\"") == std::string::npos) continue;
    Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (json.is_object() && json.value("kind", "") == "step") last = std::move(json);
  }
  return last;
}

// What config.toml and model.json say; nothing of a start that failed before it wrote them.
struct Recipe {
  TrainConfig config;
  RunLength length;
  double flops_per_token = 0;
};
std::optional<Recipe> read_recipe(const fs::path& root) {
  if (!fs::exists(root / "config.toml")) return std::nullopt;
  Recipe recipe;
  load_fields(recipe.config, read_toml(root / "config.toml"), (root / "config.toml").string());
  const TrainConfig& c = recipe.config;
  recipe.length = run_length(c.train, c.data.seq_len);
  fs::path shape = root / "model.json";  // older runs have none, but perhaps a checkpoint
  for (const int64_t step : finished_steps(root)) {
    if (!fs::exists(shape)) shape = root / step_name(step) / "config.json";
  }
  if (fs::exists(shape))
    recipe.flops_per_token = train_flops_per_token(shape_of(parse_model_config(read_json(shape), shape.string())), double(c.data.seq_len),
                                                   AttentionCount::kCausal, c.train.mtp_lambda > 0);
  return recipe;
}

Bill unfinished_bill(const fs::path& root) {
  Bill bill;
  bill.finished = false;
  bill.run = fs::canonical(root).filename().string();
  bill.device = "cpu";
  const std::optional<Recipe> recipe = read_recipe(root);
  if (recipe) bill.device = recipe->config.bill.device.empty() ? recipe->config.run.device : recipe->config.bill.device;
  for (const Attempt& attempt : read_attempts(root / "attempts.jsonl")) {
    if (bill.started.empty()) bill.started = attempt.started;
    bill.devices = attempt.devices;
    bill.wall_hours += attempt.seconds / 3600;
    bill.device_hours += attempt.seconds * double(attempt.devices) / 3600;
  }
  const Json step = last_step(root / "metrics.jsonl");
  if (step.is_object()) {
    bill.tokens = step.value("tokens", int64_t{0});
    bill.device_name = step.value("machine", "");
    bill.ended = step.value("time", "");
    bill.flops = recipe ? recipe->flops_per_token * double(bill.tokens) : 0;
    const double share = step.value("peak_share", 0.0), rate = step.value("tokens_per_s", 0.0);
    if (recipe && share > 0) bill.peak_flops_per_s = recipe->flops_per_token * rate / share;
  }
  if (fs::exists(root / "plan.json")) {
    LocalPlan plan;
    load_fields(plan, read_json(root / "plan.json"), (root / "plan.json").string());
    bill.planned = planned_of(plan);
  }
  const int64_t done = step.is_object() ? step.value("step", int64_t{0}) : 0;
  bill.status = unfinished_status(run_is_held(root) ? "running," : "not running,", done, recipe ? recipe->length.steps : 0);
  settle_bill(bill, recipe ? recipe->config.bill.rate : 0);
  return bill;
}

}  // namespace

std::string unfinished_status(const std::string& what, int64_t step, int64_t steps) {
  return steps > 0 ? fmt::format("{} at step {} of {}", what, step, steps) : fmt::format("{} at step {}", what, step);
}

std::optional<Bill> run_bill(const fs::path& root) {
  if (!fs::exists(root / "bill.json")) return fs::exists(root / "attempts.jsonl") ? std::optional(unfinished_bill(root)) : std::nullopt;
  Bill bill = read_bill(root / "bill.json");
  // Older programs left a bill of a stopped run, too.
  if (const std::optional<Recipe> recipe = bill.kind == "train" ? read_recipe(root) : std::nullopt;
      recipe && bill.tokens < recipe->length.tokens) {
    bill.finished = false;
    bill.status = fmt::format("stopped at {} of {} tokens", bill.tokens, recipe->length.tokens);
  }
  return bill;
}

}  // namespace finback
