// finback bench: kernels by name, a whole training step, decoding; each beside this machine's limits measured in the same process.
#include <algorithm>
#include <functional>

#include "base/fields.h"
#include "base/file.h"
#include "base/progress.h"
#include "cli/args.h"
#include "cli/verbs.h"
#include "generate/bench_cache.h"
#include "generate/text_model.h"
#include "infer/bench_decode.h"
#include "infer/bench_speculation.h"
#include "machine/bench.h"
#include "model/model_folder.h"
#include "model/row_probe.h"
#include "train/bench_step.h"

namespace finback {
namespace {

constexpr int64_t kMany = int64_t{1} << 30;

// Runs work that says nothing on its way.
Json timed(const char* what, const std::function<Json()>& work) {
  Progress progress(what);
  Json result = work();
  progress.vanish();
  return result;
}

void print_report(const Args& args, const Json& json) {
  if (args.has("json")) {
    fmt::print("{}", dump_json(json));
    return;
  }
  for (const auto& [key, value] : json.items()) fmt::print("{:<22} {}\n", key, dump_json_line(value));
}

void refuse_other_than(const Args& args, const std::string& flag, const std::string& built) {
  const std::string value = args.get_or(flag, built);
  FB_CHECK(value == built, "--{}: expected {}, got \"{}\": nothing else is built yet", flag, built, value);
}

int bench_step(CommandLine words) {
  Args args("bench step --config FILE|FOLDER [--batch-tokens N] [--seq-len S] [--steps N] [--json]",
            "Whole training steps (forward, loss, backward, clipping, AdamW) on random ids. share_of_peak counts causal attention.",
            "finback bench step --config configs/models/tiny/config.json --batch-tokens 2048 --seq-len 256");
  const StepBench defaults;
  args.flag("config", "FILE|FOLDER", "config.json of a model")
      .flag("batch-tokens", "N", fmt::format("tokens per step (default {})", defaults.batch_tokens))
      .flag("seq-len", "S", fmt::format("tokens a row (default {})", defaults.seq_len))
      .flag("precision", "NAME", "f32 (default), bf16 or fp8")
      .flag("steps", "N", fmt::format("timed steps, after two that are not (default {})", defaults.steps))
      .flag("mla-algebra", "NAME", "expanded (default) or absorbed")
      .toggle("no-mtp", "without the MTP modules of the config")
      .toggle("json", "one JSON document");
  if (!args.parse(words)) return 0;
  args.at_most(0);
  StepBench options;
  options.batch_tokens = args.integer("batch-tokens", options.batch_tokens, 2, kMany);
  options.seq_len = args.integer("seq-len", options.seq_len, 2, kMany);
  options.steps = args.integer("steps", options.steps, 1, kMany);
  options.with_mtp = !args.has("no-mtp");
  const std::string algebra = args.get_or("mla-algebra", "expanded");
  FB_CHECK(algebra == "expanded" || algebra == "absorbed", "--mla-algebra: expected expanded or absorbed, got \"{}\"", algebra);
  options.algebra = algebra == "absorbed" ? MlaAlgebra::kAbsorbed : MlaAlgebra::kExpanded;
  const std::string precision = args.get_or("precision", "f32");
  FB_CHECK(precision == "f32" || precision == "bf16" || precision == "fp8", "--precision: expected f32, bf16 or fp8, got \"{}\"",
           precision);
  options.precision = parse_precision(precision, "--precision");
  FB_CHECK(args.has("config"), "expected --config FILE. Hint: --config configs/models/tiny/config.json");
  const ModelConfig config = load_model_config(find_model_or_config(*args.get("config")));
  print_report(args, timed("timing training steps", [&] { return bench_training_step(config, options); }));
  return 0;
}

struct BenchModel {
  std::unique_ptr<Transformer> transformer;
  Precision weights;
};

BenchModel bench_model(const Args& args, int64_t cached_tokens) {
  const std::filesystem::path given = find_model_or_config(*args.get("config"));
  std::optional<Precision> weights;
  if (args.has("weights")) weights = parse_precision(*args.get("weights"), "--weights");
  if (has_weights(given)) {
    TextModel model = load_text_model(
        given, {}, {.weights = weights, .tokenizer_optional = true, .cached_tokens = cached_tokens, .anyway = args.has("anyway")});
    return {std::move(model.transformer), model.weights};
  }
  FB_CHECK(!args.has("anyway"), "--anyway: expected a model folder with weights");
  const ModelConfig config = load_model_config(given);
  BenchModel model{std::make_unique<Transformer>(config, at::kCPU, /*trainable=*/false), weights.value_or(Precision::kF32)};
  model.transformer->parameters().initialize(1, 0.02);
  if (model.weights != Precision::kF32) model.transformer->store_weights(model.weights);
  return model;
}

// auto,N,...: as EngineOptions::speculative_tokens.
std::vector<int64_t> parse_ways(const std::string& text) {
  std::vector<int64_t> ways;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    const bool number = !word.empty() && word.size() < 4 && word.find_first_not_of("0123456789") == std::string::npos;
    FB_CHECK(word == "auto" || number, "--speculative-tokens: expected auto or numbers, as in 0,1,auto, got \"{}\"", text);
    ways.push_back(number ? std::stoll(word) : -1);
    begin = end + 1;
  }
  return ways;
}

// Drafts are accepted as often as a model and a text let them: a trained model's, on a text like those that it has read.
int bench_speculation_verb(const Args& args, DecodeBench decode) {
  FB_CHECK(args.has("model"), "--speculative-tokens: expected --model FOLDER of a trained model, whose drafts are accepted now and then");
  FB_CHECK(args.has("text"), "--speculative-tokens: expected --text FILE, whose pieces are the prompts");
  std::optional<Precision> weights;
  if (args.has("weights")) weights = parse_precision(*args.get("weights"), "--weights");
  SpeculationBench options;
  options.ways = parse_ways(*args.get("speculative-tokens"));
  options.prompt_tokens = decode.prompt_tokens, options.new_tokens = decode.new_tokens;
  options.batch = args.integer("batch", 1, 1, 4096);
  options.repeats = args.integer("repeats", options.repeats, 1, kMany);
  options.temperature = args.number("temperature", 0, 0, 100);
  TextModelOptions how{.weights = weights, .cached_tokens = options.batch * (options.prompt_tokens + options.new_tokens)};
  how.speculative_tokens = *std::max_element(options.ways.begin(), options.ways.end());
  if (std::count(options.ways.begin(), options.ways.end(), -1) > 0) how.speculative_tokens = std::max<int64_t>(how.speculative_tokens, -1);
  const TextModel model = load_text_model(*args.get("model"), {}, how);
  options.text = model.tokenizer->encode(read_file(*args.get("text")));
  print_report(args, timed("timing decoding with and without drafts", [&] { return bench_speculation(*model.transformer, options); }));
  return 0;
}

int bench_decode_verb(CommandLine words) {
  Args args("bench decode --config FILE|FOLDER [--weights NAME] | --model FOLDER --text FILE --speculative-tokens LIST [flags]",
            "The engine: reading a prompt, then greedy decoding behind it. On a model folder's weights, or on random ones of a "
            "config.json. Or a\n"
            "trained model with and without drafts of its MTP modules, the ways in turns; share_of_first compares each with the first of "
            "the list.",
            "finback bench decode --config configs/models/tiny/config.json --prompt 128 --new 128");
  const DecodeBench defaults;
  args.flag("config", "FILE|FOLDER", "config.json of a model, or a model folder")
      .flag("weights", "NAME", "how they are kept: f32, bf16, fp8 or int8 (default: as the folder stores them; random ones f32)")
      .toggle("anyway", "load the model though the count of memory says that it does not fit")
      .flag("model", "FOLDER", "a trained model, with --speculative-tokens")
      .flag("text", "FILE", "prompts are pieces of it, with --speculative-tokens")
      .flag("speculative-tokens", "LIST", "ways to compare, as in 0,1,auto: drafts in a step, auto: as many as pay")
      .flag("temperature", "T", "with --speculative-tokens (default 0: greedy)")
      .flag("repeats", "N", "of each way, with --speculative-tokens (default 5)")
      .flag("batch", "N", "requests side by side; other than 1 with --speculative-tokens")
      .flag("prompt", "N", fmt::format("tokens of the prompt (default {})", defaults.prompt_tokens))
      .flag("new", "N", fmt::format("tokens to decode (default {})", defaults.new_tokens))
      .toggle("json", "one JSON document");
  if (!args.parse(words)) return 0;
  args.at_most(0);
  DecodeBench options;
  options.prompt_tokens = args.integer("prompt", options.prompt_tokens, 1, kMany);
  options.new_tokens = args.integer("new", options.new_tokens, 2, kMany);
  if (args.has("speculative-tokens")) return bench_speculation_verb(args, options);
  refuse_other_than(args, "batch", "1");
  for (const char* flag : {"model", "text", "temperature", "repeats"})
    FB_CHECK(!args.has(flag), "--{}: expected --speculative-tokens LIST with it", flag);
  FB_CHECK(args.has("config"), "expected --config FILE. Hint: --config configs/models/tiny/config.json");
  const BenchModel model = bench_model(args, options.prompt_tokens + options.new_tokens);
  options.weights = model.weights;
  print_report(args, timed("timing decoding", [&] { return bench_decode(*model.transformer, options); }));
  return 0;
}

int bench_cache_verb(CommandLine words) {
  Args args("bench cache TRACE.jsonl --config FILE|FOLDER [--scale N] [--memory-blocks N] [--disk-blocks N] [--json]",
            "Replays a trace of prompts (as plan --trace reads it) through the engine and both tiers of its prefix cache, beside what the "
            "planner\n"
            "predicts for caches of these sizes. Random weights, made-up tokens; the folder is a temporary one.",
            "finback bench cache bench/small_trace.jsonl --config configs/models/nano/config.json");
  args.flag("config", "FILE|FOLDER", "config.json of a model")
      .flag("scale", "N", "blocks are cut to 1/N of their tokens, to whole pages of 64 (default 8: 512 tokens become 64)")
      .flag("memory-blocks", "N", "of the trace, that the KV cache holds (default: a quarter of the different ones)")
      .flag("disk-blocks", "N", "of the trace, that the folder holds (default: half of them)")
      .toggle("json", "one JSON document");
  if (!args.parse(words)) return 0;
  const std::string file = args.required(0, "a trace");
  args.at_most(1);
  CacheBench options;
  options.scale = args.integer("scale", options.scale, 1, 512);
  options.memory_blocks = args.integer("memory-blocks", 0, 1, kMany);
  options.disk_blocks = args.integer("disk-blocks", 0, 1, kMany);
  FB_CHECK(args.has("config"), "expected --config FILE. Hint: --config configs/models/nano/config.json");
  const ModelConfig config = load_model_config(find_model_or_config(*args.get("config")));
  const Json json = bench_cache(config, parse_cache_trace(read_file(file), file), options);
  if (args.has("json")) {
    print_report(args, json);
    return 0;
  }
  for (const Json& tier : json["tiers"]) {
    fmt::print("{:<16} {:>6} blocks of {} tokens: {:5.1f} % found, {:5.1f} % predicted\n", tier["tier"].get<std::string>(),
               tier["blocks"].get<int64_t>(), json["block_tokens"].get<int64_t>(), 100 * tier["hit"].get<double>(),
               100 * tier["predicted_hit"].get<double>());
  }
  return 0;
}

int bench_ops(CommandLine words) {
  std::vector<std::string> known = {"step", "decode", "cache"};
  for (const BenchEntry& entry : bench_list()) known.push_back(entry.op);
  Args args(
      "bench [step|decode|cache|OP...] [--json]",
      fmt::format("Times kernels (all, or those named): time | rate (% of the measured peak) | x reference, then one JSON line.\nOps: {}.\n"
                  "`bench step`, `bench decode` and `bench cache` run whole models and have a --help of their own.",
                  fmt::join(known.begin() + 3, known.end(), ", ")),
      "finback bench gemm rms_norm");
  args.toggle("json", "only the JSON document");
  if (!args.parse(words)) return 0;
  const std::vector<std::string>& names = args.positional();
  for (const std::string& name : names) {
    if (std::find(known.begin() + 3, known.end(), name) == known.end()) fail_unknown_key(name, "finback bench", known);
  }
  Progress progress("measuring this machine");
  const MachineProbe probe = probe_machine();
  progress.vanish();
  Bench bench(probe.fma_peak_gflops, probe.stream_gb_per_s, args.has("json") ? stderr : stdout);
  if (!args.has("json")) {
    fmt::print("{}: {}\n", probe.processor, machine_label(probe));
  }
  for (const BenchEntry& entry : bench_list()) {
    if (names.empty() || std::find(names.begin(), names.end(), entry.op) != names.end()) entry.run(bench);
  }
  const Json json = {{"figure", "kernels"},
                     {"processor", probe.processor},
                     {"kernels", probe.kernels},
                     {"arithmetic", arithmetic_label(probe)},
                     {"threads", probe.threads},
                     {"fma_peak_gflops", probe.fma_peak_gflops},
                     {"stream_gb_per_s", probe.stream_gb_per_s},
                     {"rows", bench.results()}};
  fmt::print("{}", args.has("json") ? dump_json(json) : dump_json_line(json) + "\n");
  return 0;
}

}  // namespace

int cmd_bench(CommandLine words) {
  // Flags of every verb may stand before the name of what is timed.
  const size_t at = Args("bench", "", "").leading_flags(words);
  if (at == words.size() || (words[at] != "step" && words[at] != "decode" && words[at] != "cache")) return bench_ops(words);
  std::vector<std::string> rest(words.begin(), words.end());
  rest.erase(rest.begin() + ptrdiff_t(at));
  if (words[at] == "cache") return bench_cache_verb(rest);
  return words[at] == "step" ? bench_step(rest) : bench_decode_verb(rest);
}

}  // namespace finback
