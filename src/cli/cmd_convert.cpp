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
#include "model/random_model.h"
#include "train/model_card.h"

namespace finback {
namespace {

// --weights as in generate and parity; --dtype, its name before, means the same.
std::string weights_of(const Args& args) {
  if (args.has("weights") && args.has("dtype"))
    throw UsageError("convert expects one of --weights and --dtype: they are two names of one flag");
  if (!args.has("weights") && !args.has("dtype"))
    throw UsageError("convert expects --weights f32, bf16, fp8 or int8. Hint: finback convert --help");
  return args.has("weights") ? *args.get("weights") : *args.get("dtype");
}

void print_conversion(const Args& args, const Conversion& done, const std::string& from, const std::string& to) {
  if (done.kept_shards > 0) warn(fmt::format("{}: went on behind {} of {} shards", to, done.kept_shards, done.shards));
  if (args.has("json")) {
    fmt::print("{}", dump_json({{"from", from},
                                {"to", to},
                                {"dtype", done.weights},
                                {"bytes_before", done.bytes_before},
                                {"bytes_after", done.bytes_after},
                                {"shards", done.shards},
                                {"kept_shards", done.kept_shards},
                                {"mtp_modules", done.mtp_modules},
                                {"left_out", done.left_out}}));
    return;
  }
  fmt::print("{}: {} as {}, {}\n", to, human_bytes(double(done.bytes_after)), done.weights,
             args.has("random") ? "random" : fmt::format("from {} of weights", human_bytes(double(done.bytes_before))));
}

// --random: there is no model to read.
void write_random(const Args& args, const std::string& weights, const std::string& to) {
  args.at_most(0);
  RandomModel random;
  random.config = find_model_or_config(*args.get("random"));
  random.seed = uint64_t(args.integer("seed", 1, 0, int64_t{1} << 53));
  ConvertOptions options;
  options.overwrite = args.has("overwrite");
  options.card = [&](const Conversion& done) {
    return random_model_card({done.config, done.weights, done.mtp_modules, done.bytes_after}, random.seed);
  };
  print_conversion(args, write_random_model(random, to, weights, options), random.config.string(), to);
}

}  // namespace

int cmd_convert(CommandLine words) {
  Args args(
      "convert MODEL|--random CONFIG --weights f32|bf16|fp8|int8 --out DIR [--overwrite] [--json]",
      "Re-encodes a model folder (or a run's newest checkpoint), shard by shard, into another folder: weights, tokenizer, every other file "
      "of a model,\n"
      "and a model card (README.md); no optimizer state. fp8 is DeepSeek's layout: E4M3 projections with one f32 scale per 128x128 block\n"
      "(weight_scale_inv), the rest bf16; transformers needs the package accelerate to load it. Memory stays at one shard and one tensor. "
      "A\n"
      "conversion that was stopped goes on when the same command is given again. --random writes a model of random weights instead,\n"
      "N(0, initializer_range), for measurements: no tokenizer. int8 (32 values along K share a scale) is for serving alone: the folder "
      "is\n"
      "mapped as it lies, so generate and chat are ready at once, and several of them share its memory.",
      "finback convert runs/quickstart/latest --weights bf16 --out runs/quickstart/bf16");
  args.flag("weights", "NAME", "f32, bf16, fp8 or int8")
      .flag("dtype", "NAME", "the same: an older name of --weights")
      .flag("out", "DIR", "the folder to write")
      .flag("random", "FILE|FOLDER", "config.json of a model of random weights")
      .flag("seed", "N", "of --random: the same seed, the same weights (default 1)")
      .toggle("overwrite", "replace the model that is in --out")
      .toggle("json", "one JSON document");
  if (!args.parse(words)) return 0;
  const std::string given = args.has("random") ? "" : args.required(0, "the model folder to read");
  args.at_most(1);
  const std::string weights = weights_of(args);
  if (!args.has("out")) throw UsageError("convert expects --out. Hint: finback convert --help");
  FB_CHECK(args.has("random") || !args.has("seed"), "--seed: expected --random with it");
  if (args.has("random")) return write_random(args, weights, *args.get("out")), 0;
  const std::filesystem::path to = *args.get("out"), from = find_model_folder(given);
  ConvertOptions options;
  options.overwrite = args.has("overwrite");
  options.card = [&](const Conversion& done) { return model_card(from, {done.config, done.weights, done.mtp_modules, done.bytes_after}); };
  const Conversion done = convert_model(from, to, weights, options);
  if (!done.left_out.empty()) warn(fmt::format("{}: left behind: {}", from.string(), fmt::join(done.left_out, ", ")));
  if (!done.fp8_remark.empty()) warn(fmt::format("{}: {}", to.string(), done.fp8_remark));
  print_conversion(args, done, from.string(), to.string());
  return 0;
}

}  // namespace finback
