// finback convert: a model folder in another number format.
#include <filesystem>

#include "base/error.h"
#include "base/json.h"
#include "base/status_line.h"
#include "base/timer.h"
#include "cli/args.h"
#include "cli/verbs.h"
#include "model/conversion.h"
#include "model/model_folder.h"
#include "train/model_card.h"

namespace finback {
namespace {

// --weights as in generate and parity; --dtype, its name before, means the same.
std::string weights_of(const Args& args) {
  if (args.has("weights") && args.has("dtype"))
    throw UsageError("convert expects one of --weights and --dtype: they are two names of one flag");
  if (!args.has("weights") && !args.has("dtype"))
    throw UsageError("convert expects --weights f32, bf16 or fp8. Hint: finback convert --help");
  return args.has("weights") ? *args.get("weights") : *args.get("dtype");
}

}  // namespace

int cmd_convert(CommandLine words) {
  Args args(
      "convert MODEL --weights f32|bf16|fp8 --out DIR [--overwrite] [--json]",
      "Re-encodes a model folder (or a run's newest checkpoint), shard by shard, into another folder: weights, tokenizer, every other file "
      "of a model,\n"
      "and a model card (README.md); no optimizer state. fp8 is DeepSeek's layout: E4M3 projections with one f32 scale per 128x128 block\n"
      "(weight_scale_inv), the rest bf16; transformers needs the package accelerate to load it. Memory stays at one shard and one tensor. "
      "A\n"
      "conversion that was stopped goes on when the same command is given again.",
      "finback convert runs/quickstart/latest --weights bf16 --out runs/quickstart/bf16");
  args.flag("weights", "NAME", "f32, bf16 or fp8")
      .flag("dtype", "NAME", "the same: an older name of --weights")
      .flag("out", "DIR", "the folder to write")
      .toggle("overwrite", "replace the model that is in --out")
      .toggle("json", "one JSON document");
  if (!args.parse(words)) return 0;
  const std::string given = args.required(0, "the model folder to read");
  args.at_most(1);
  const std::string weights = weights_of(args);
  if (!args.has("out")) throw UsageError("convert expects --out. Hint: finback convert --help");
  const std::filesystem::path to = *args.get("out"), from = find_model_folder(given);
  ConvertOptions options;
  options.overwrite = args.has("overwrite");
  options.card = [&](const Conversion& done) { return model_card(from, {done.config, done.weights, done.mtp_modules, done.bytes_after}); };
  const Conversion done = convert_model(from, to, weights, options);
  if (!done.left_out.empty()) warn(fmt::format("{}: left behind: {}", from.string(), fmt::join(done.left_out, ", ")));
  if (!done.fp8_remark.empty()) warn(fmt::format("{}: {}", to.string(), done.fp8_remark));
  if (done.kept_shards > 0) warn(fmt::format("{}: went on behind {} of {} shards", to.string(), done.kept_shards, done.shards));
  if (args.has("json")) {
    fmt::print("{}", dump_json({{"from", from.string()},
                                {"to", to.string()},
                                {"dtype", weights},
                                {"bytes_before", done.bytes_before},
                                {"bytes_after", done.bytes_after},
                                {"shards", done.shards},
                                {"kept_shards", done.kept_shards},
                                {"mtp_modules", done.mtp_modules},
                                {"left_out", done.left_out}}));
  } else {
    fmt::print("{}: {} as {}, from {} of weights\n", to.string(), human_bytes(double(done.bytes_after)), weights,
               human_bytes(double(done.bytes_before)));
  }
  return 0;
}

}  // namespace finback
