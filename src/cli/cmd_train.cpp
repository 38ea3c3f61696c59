// finback train: recipe and overrides -> TrainConfig, then train(); text samples come from the engine, which train cannot see.
#include <fmt/format.h>

#include <cstdio>

#include "base/fields.h"
#include "base/program_name.h"
#include "cli/args.h"
#include "cli/sample_text.h"
#include "cli/verbs.h"
#include "train/recipe_help.h"
#include "train/train.h"

namespace finback {

namespace {

void print_end(const TrainSummary& s) {
  const std::string folder = s.folder.string();
  if (s.stopped_by && !s.saved) {
    fmt::print("stopped at step {} of {}: nothing was trained, so nothing is saved. Start again with the same command\n", s.step, s.steps);
  } else if (s.stopped_by) {
    fmt::print("stopped at step {} of {}, saved in {}{}. Go on with: {}\n", s.step, s.steps, folder,
               s.step == s.steps ? "; all steps are trained, the last evaluation is missing" : "",
               as_typed(fmt::format("finback train {} --resume", shell_word(folder))));
  } else if (s.steps_done == 0 && !s.val_bpb) {
    fmt::print("nothing to do: finished at step {}, model in {}/latest\n", s.step, folder);
  } else {
    fmt::print("done: {} steps{}, model in {}/latest\n", s.step,
               s.val_bpb ? fmt::format(", validation {:.4f} bits a byte", *s.val_bpb) : "", folder);
  }
  if (s.bill.wall_hours > 0) fmt::print("{}", bill_table(s.bill));
}

}  // namespace

int cmd_train(CommandLine words) {
  Args args("train RECIPE [--resume] [--section.key=value ...]",
            "Pretrains a model from a TOML recipe, or goes on with a run (RECIPE may be its folder). Writes runs/NAME: config.toml, "
            "metrics.jsonl, "
            "TensorBoard events, step-NNNNNN/ as Hugging Face folders, latest, log.txt, bill.json. Ctrl-C, SIGTERM and SIGHUP save and end "
            "the run\n"
            "orderly, with exit code 130, 143 or 129 (0: done); a second Ctrl-C leaves at once. A relative path in a recipe is looked for "
            "from the\n"
            "recipe's folder, then from here; one in a flag from here. Longer runs, other learning rates, fine-tuning: docs/runs.md.",
            "finback train configs/recipes/quickstart.toml --run.name=try --train.steps=200");
  args.toggle("resume", "go on from the newest checkpoint, exactly; from the start when there is none")
      .toggle("overwrite", "remove what an earlier run left in the folder and start again")
      .toggle("deterministic", "forbid every op without fixed bits (same as --run.deterministic=true)")
      .toggle("allow-other-kernels", "resume under another kernel variant: same training, other bits")
      .toggle("anyway",
              "start though the count of memory or disk space says that the run does not fit, or the corpus was built anew since tokenize")
      .toggle("json", "print the bill as JSON, with stopped, step and steps of the run")
      .flag("rate", "USD", "price of a device-hour in the bill (same as --bill.rate=USD)")
      .flag("log-rows", "FILE", "write every row trained on and the experts chosen for it as JSON lines, for replaying the run elsewhere")
      .developer()
      .accept_overrides(recipe_help(), recipe_keys());
  if (!args.parse(words)) return 0;
  args.at_most(1);
  if (args.has("resume") && args.has("overwrite")) throw UsageError("--resume and --overwrite exclude each other");
  if (args.has("resume") && args.has("log-rows"))
    throw UsageError("--log-rows and --resume exclude each other: the rows of the steps before are not in the file");

  std::vector<std::pair<std::string, std::string>> overrides = args.overrides();
  const auto short_form = [&](const std::string& flag, const std::string& key, const std::string& value) {
    if (!args.has(flag)) return;
    for (const auto& [given, other] : args.overrides()) {
      if (given == key) throw UsageError(fmt::format("--{} and --{} say the same thing. Hint: keep one", flag, key));
    }
    overrides.emplace_back(key, value);
  };
  short_form("deterministic", "run.deterministic", "true");
  short_form("rate", "bill.rate", args.get_or("rate", ""));
  const TrainConfig config = load_train_config(args.required(0, "RECIPE"), overrides);
  TrainOptions options;
  if (args.has("resume")) options.mode = OpenMode::kResume;
  if (args.has("overwrite")) options.mode = OpenMode::kOverwrite;
  options.allow_other_kernels = args.has("allow-other-kernels");
  options.anyway = args.has("anyway");
  options.rows_log = args.get_or("log-rows", "");
  options.sample = sample_text;

  TrainSummary summary = train(config, options);
  const int code = summary.stopped_by ? 128 + summary.stopped_by : 0;
  if (args.has("json")) {
    Json json = dump_fields(summary.bill);
    json["stopped"] = summary.stopped_by != 0;
    json["step"] = summary.step;
    json["steps"] = summary.steps;
    fmt::print("{}", dump_json(json));
    return code;
  }
  print_end(summary);
  return code;
}

}  // namespace finback
