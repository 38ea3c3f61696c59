// finback inspect: what a model is and costs a token, from its config alone.
#include <filesystem>

#include "base/notice.h"
#include "base/status_line.h"
#include "cli/args.h"
#include "cli/verbs.h"
#include "cost/model_report.h"
#include "model/checkpoint.h"
#include "model/config_json.h"
#include "model/model_folder.h"
#include "model/weight_file_names.h"

namespace finback {
namespace {

// Of a folder with weights: the carried one, or the computed one. A folder with a config.json alone has none.
std::optional<std::string> fingerprint_of(const std::filesystem::path& model, bool compute) {
  const bool weights = has_weights(model);
  const std::vector<std::string> others = weights ? std::vector<std::string>() : weight_file_names(model);
  FB_CHECK(weights || !compute, "--fingerprint: expected a model folder with weights that are read, got {}{}", model.string(),
           others.empty() ? "" : " with " + shortened_list(others));
  if (!others.empty())
    notice_once(fmt::format("{}: counted from config.json; its weights are not read: {}", model.string(), shortened_list(others)));
  if (!weights) return std::nullopt;
  const std::optional<std::string> carried = stored_fingerprint(model);
  if (!compute) return carried;
  const std::string computed = load_model(model, at::kCPU, /*trainable=*/false)->parameters().fingerprint();
  FB_CHECK(!carried || *carried == computed, "{}: expected weights {} as its files say, got {}. Hint: the weights were changed",
           model.string(), *carried, computed);
  return computed;
}

// A transformer that is not computed: its parameters alone.
int inspect_other(const Args& args, const OtherModel& other, const std::filesystem::path& model) {
  for (const char* flag : {"seq-len", "fingerprint"})
    FB_CHECK(!args.has(flag) && !args.get(flag),
             "--{}: expected a DeepSeek V2 or V3 that is computed, got {}, whose parameters alone are counted", flag, model.string());
  fmt::print("{}", args.has("json") ? dump_json(other_model_json(other)) : other_model_text(other));
  return 0;
}

}  // namespace

int cmd_inspect(CommandLine words) {
  Args args(
      "inspect MODEL|config.json [--seq-len N] [--json]",
      "Parameters total and active by part, FLOPs and cache bytes per token, memory to train and to serve: pure functions of\n"
      "config.json (src/cost), however its weights are stored. Of a model folder also the fingerprint of its weights, which a\n"
      "run's checkpoint carries. DeepSeek V2, V3, R1 and Kimi-K2 (deepseek_v2, deepseek_v3, kimi_k2) are counted in full; those with\n"
      "biases, other activations or other scalings of RoPE, which nothing here computes, by their parameters alone. Of other\n"
      "transformers the parameters are: deepseek, deepseek_v32, glm4_moe, glm4_moe_lite, glm_moe_dsa (GLM-5), llama, mistral,\n"
      "mixtral, qwen2, qwen2_moe, qwen3, qwen3_moe, and of any other name that has their keys, with a line on what is missing.",
      "finback inspect configs/models/v3/config.json");
  args.flag("seq-len", "N", "context length for FLOPs and memory (default: 4096, or the model's limit when smaller)")
      .toggle("fingerprint", "read all weights and compute their fingerprint (a carried one must agree)")
      .toggle("json", "one JSON document");
  if (!args.parse(words)) return 0;
  args.at_most(1);
  const std::filesystem::path model = find_model_or_config(args.required(0, "a model folder or a config.json"));
  const Json json = read_config_json(model);
  const std::string what = (std::filesystem::is_directory(model) ? model / "config.json" : model).string();
  if (is_other_model(json, what)) return inspect_other(args, read_other_model(json, what), model);
  std::vector<std::string> unbuilt;
  const ModelConfig config = parse_countable_config(json, what, unbuilt);
  if (!unbuilt.empty()) return inspect_other(args, count_unbuilt_model(config, unbuilt, json, what), model);
  const int64_t fallback = std::min<int64_t>(4096, config.max_position_embeddings);
  const int64_t seq_len = args.integer("seq-len", fallback, 1, int64_t{1} << 40);
  if (seq_len > config.max_position_embeddings)
    warn(fmt::format("--seq-len {}: longer than the model's max_position_embeddings {}: it is counted, no sequence can be so long", seq_len,
                     config.max_position_embeddings));
  ModelReport report = report_model(config, seq_len);
  report.weights_fingerprint = fingerprint_of(model, args.has("fingerprint"));
  fmt::print("{}", args.has("json") ? dump_json(model_report_json(report)) : model_report_text(report));
  return 0;
}

}  // namespace finback
