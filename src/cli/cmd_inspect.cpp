// finback inspect: what a model is and costs a token, from its config alone.
#include <filesystem>

#include "base/json.h"
#include "base/timer.h"
#include "cli/args.h"
#include "cli/verbs.h"
#include "cost/flops.h"
#include "cost/memory.h"
#include "cost/model_size.h"
#include "gemm/variant.h"
#include "model/checkpoint.h"

namespace finback {
namespace {

// By what a run multiplies, and by how a served model is stored. Packed bf16 and fp8 weights have the size that this processor's kernels give them.
Json memory_report(const ModelConfig& config, int64_t seq_len) {
  Json json;
  for (const Precision precision : {Precision::kF32, Precision::kBf16, Precision::kFp8}) {
    const TrainMemory train = train_memory(config, seq_len, {precision, kernel_variant() == Variant::kAvx512Bf16 ? 2.0 : 4.0});
    json["train"][precision_name(precision)] = {{"weights", train.weights},         {"gradients", train.gradients},
                                                {"optimizer", train.optimizer},     {"packed_weights", train.packed_weights},
                                                {"activations", train.activations}, {"working", train.working},
                                                {"program", kProgramBytes},         {"total", train.total()}};
  }
  for (const Precision storage : {Precision::kF32, Precision::kBf16, Precision::kInt8, Precision::kFp8})
    json["serve"][precision_name(storage)] = serve_memory(config, storage, seq_len);
  return json;
}

Json report(const ModelConfig& config, int64_t seq_len) {
  const ModelSize size = model_size(config);
  const bool mtp = config.num_nextn_predict_layers > 0;
  Json json;
  json["model_type"] = config.model_type;
  json["parameters"] = {{"total", size.total_without_mtp()},
                        {"active", size.active()},
                        {"embedding", size.embedding},
                        {"head", size.head},
                        {"attention", size.attention},
                        {"dense_ffn", size.dense_ffn},
                        {"routed_experts", size.routed_experts},
                        {"active_routed_experts", size.active_routed},
                        {"shared_experts", size.shared_experts},
                        {"router", size.router},
                        {"norms", size.norms},
                        {"mtp_modules", size.mtp},
                        {"total_with_mtp", size.total()}};
  json["seq_len"] = seq_len;
  json["flops_per_token"] = {{"train_causal", train_flops_per_token(config, seq_len, AttentionCount::kCausal, false)},
                             {"train_full_attention", train_flops_per_token(config, seq_len, AttentionCount::kFull, false)},
                             {"train_causal_with_mtp", train_flops_per_token(config, seq_len, AttentionCount::kCausal, mtp)},
                             {"decode_at_seq_len", decode_flops_per_token(config, seq_len)}};
  json["cache_bytes_per_token"] = {{"bf16", cache_bytes_per_token(config, 2, false)},
                                   {"f32", cache_bytes_per_token(config, 4, false)},
                                   {"f32_with_mtp", cache_bytes_per_token(config, 4, mtp)}};
  json["memory_bytes"] = memory_report(config, seq_len);
  return json;
}

void print(const Json& json, const ModelConfig& config) {
  const auto count = [](const Json& value) { return human_count(value.get<double>()); };
  const Json& p = json["parameters"];
  fmt::print("{}: {} layers ({} dense first), hidden {}, {} heads, {} routed experts ({} a token), {} shared, {} MTP\n", config.model_type,
             config.num_hidden_layers, config.first_k_dense_replace, config.hidden_size, config.num_attention_heads,
             config.n_routed_experts, config.num_experts_per_tok, config.n_shared_experts, config.num_nextn_predict_layers);
  fmt::print("\nparameters        {} total, {} active a token (head in, embedding table out)\n", count(p["total"]), count(p["active"]));
  for (const char* part :
       {"embedding", "head", "attention", "dense_ffn", "routed_experts", "shared_experts", "router", "norms", "mtp_modules"}) {
    const std::string note = std::string(part) == "mtp_modules" ? "   (not in the total)" : "";
    fmt::print("  {:<15} {:>10} {:>18}{}\n", part, count(p[part]), p[part].get<int64_t>(), note);
  }
  const Json& f = json["flops_per_token"];
  fmt::print("\nFLOPs a token at {} tokens of context\n", json["seq_len"].get<int64_t>());
  fmt::print("  training        {}FLOP causal, {}FLOP with full-square attention, {}FLOP causal with MTP\n", count(f["train_causal"]),
             count(f["train_full_attention"]), count(f["train_causal_with_mtp"]));
  fmt::print("  decoding        {}FLOP (absorbed attention)\n", count(f["decode_at_seq_len"]));
  fmt::print("\ncache             {} bytes a token in bf16, {} in f32\n", json["cache_bytes_per_token"]["bf16"].get<int64_t>(),
             json["cache_bytes_per_token"]["f32"].get<int64_t>());
  const auto bytes = [](const Json& value) { return human_bytes(value.get<double>()); };
  const Json &train = json["memory_bytes"]["train"], &serve = json["memory_bytes"]["serve"];
  fmt::print("memory            to train {} in f32, {} in bf16, {} in fp8 (one micro-batch of {} tokens)\n", bytes(train["f32"]["total"]),
             bytes(train["bf16"]["total"]), bytes(train["fp8"]["total"]), json["seq_len"].get<int64_t>());
  fmt::print("                  to serve {} in f32, {} in bf16, {} in int8, {} in fp8, f32 copy included (one context)\n",
             bytes(serve["f32"]), bytes(serve["bf16"]), bytes(serve["int8"]), bytes(serve["fp8"]));
  if (json.contains("weights_fingerprint")) fmt::print("weights           {}\n", json["weights_fingerprint"].get<std::string>());
}

// Of a folder with weights: the carried one, or the computed one. A folder with a config.json alone has none.
std::optional<std::string> fingerprint_of(const std::filesystem::path& model, bool compute) {
  namespace fs = std::filesystem;
  const bool weights = fs::exists(model / "model.safetensors") || fs::exists(model / "model.safetensors.index.json");
  FB_CHECK(weights || !compute, "--fingerprint: expected a model folder with weights, got {}", model.string());
  if (!weights) return std::nullopt;
  const std::optional<std::string> carried = stored_fingerprint(model);
  if (!compute) return carried;
  const std::string computed = load_model(model, at::kCPU, /*trainable=*/false)->parameters().fingerprint();
  FB_CHECK(!carried || *carried == computed, "{}: expected weights {} as its files say, got {}. Hint: the weights were changed",
           model.string(), *carried, computed);
  return computed;
}

}  // namespace

int cmd_inspect(Words words) {
  Args args("inspect MODEL|config.json [--seq-len N] [--json]",
            "Parameters total and active by part, FLOPs and cache bytes per token, memory to train and to serve: pure functions of\n"
            "config.json (src/cost). Of a model folder also the fingerprint of its weights, which a run's checkpoint carries.",
            "finback inspect configs/models/v3/config.json");
  args.flag("seq-len", "N", "context length for FLOPs and memory (default: 4096, or the model's limit when smaller)")
      .toggle("fingerprint", "read all weights and compute their fingerprint (a carried one must agree)")
      .toggle("json", "one JSON document");
  if (!args.parse(words)) return 0;
  args.at_most(1);
  const std::filesystem::path model = args.required(0, "a model folder or a config.json");
  const ModelConfig config = load_model_config(model);
  const int64_t fallback = std::min<int64_t>(4096, config.max_position_embeddings);
  Json json = report(config, args.integer("seq-len", fallback, 1, int64_t{1} << 40));
  if (const auto fingerprint = fingerprint_of(model, args.has("fingerprint"))) json["weights_fingerprint"] = *fingerprint;
  if (args.has("json")) {
    fmt::print("{}", dump_json(json));
  } else {
    print(json, config);
  }
  return 0;
}

}  // namespace finback
