#include "generate/doctor.h"

#include <algorithm>
#include <functional>

#include "base/error.h"
#include "base/timer.h"
#include "cost/cache_bytes.h"
#include "cost/panel_bytes.h"
#include "gemm/variant.h"
#include "generate/generation_config.h"
#include "machine/machine_probe.h"
#include "model/checkpoint.h"
#include "model/model_folder.h"
#include "model/panel_folder.h"
#include "model/safetensors.h"
#include "model/stored_model.h"
#include "model/stored_quantization.h"
#include "tokenizer/chat_template.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

class FolderCheck {
 public:
  explicit FolderCheck(fs::path folder) : folder_(std::move(folder)) {}

  void fault(const std::string& what) { findings_.push_back({true, what}); }
  void remark(const std::string& what) { findings_.push_back({false, what}); }
  // Whether `check` passed: what it throws is a fault.
  bool passes(const std::function<void()>& check) {
    try {
      check();
      return true;
    } catch (const Error& e) {
      fault(e.what());
      return false;
    }
  }

  // Every shard is opened, so that all broken ones are named at once; then names, shapes, dtypes and scales.
  bool weights(const ModelConfig& config) {
    std::vector<std::string> shards;
    if (!passes([&] { shards = SafetensorsFolder(folder_).shards(); })) return false;
    bool whole = true;
    for (const std::string& shard : shards) whole &= passes([&] { SafetensorsFile file(folder_ / shard); });
    return whole && passes([&] {
             if (is_panel_folder(folder_)) {
               ModelConfig served = config;
               served.num_nextn_predict_layers = 0;  // as generate and chat load it, unless they draft
               return check_panel_folder(folder_, served), check_panel_checksums(folder_);
             }
             check_stored_quantization(folder_), check_weights(folder_, config);
           });
  }

  // Whether finback chat works, and the flags that it needs.
  void text(const ModelConfig& config, Diagnosis& d) {
    GenerationConfig generation;
    passes([&] { generation = load_generation_config(folder_); });
    if (!generation.not_followed.empty())
      remark(fmt::format("generation_config.json: not followed: {}", fmt::join(generation.not_followed, ", ")));
    std::optional<Tokenizer> tokenizer;
    if (!fs::exists(folder_ / "tokenizer.json")) {
      remark("tokenizer.json: not there. Hint: generate --ids works; the model's publisher has the file");
    } else {
      passes([&] { tokenizer.emplace(Tokenizer::load(folder_)); });
    }
    d.chats = tokenizer.has_value();
    if (tokenizer) vocabulary(tokenizer->vocab_size(), config.vocab_size);
    stop_tokens(config, generation, tokenizer ? &*tokenizer : nullptr);
    passes([&] { chat(read_chat_template(folder_), d); });
  }

  std::vector<Finding> findings() {
    std::ranges::stable_sort(findings_, [](const Finding& a, const Finding& b) { return a.fault && !b.fault; });
    return std::move(findings_);
  }

 private:
  void vocabulary(int64_t tokens, int64_t rows) {
    if (tokens > rows) {
      fault(fmt::format("tokenizer.json: expected at most vocab_size = {} tokens, got {}. Hint: it is another model's tokenizer", rows,
                        tokens));
    } else if (tokens < rows / 2) {
      remark(fmt::format("tokenizer.json: {} tokens for a vocab_size of {}. Hint: it may be another model's tokenizer", tokens, rows));
    }
  }

  void stop_tokens(const ModelConfig& config, const GenerationConfig& generation, const Tokenizer* tokenizer) {
    const auto out_of_vocab = [&](int64_t id) { return id < 0 || id >= config.vocab_size; };
    for (const int32_t id : generation.eos_token_ids) {
      if (out_of_vocab(id))
        remark(fmt::format("generation_config.json: eos_token_id {} is no token of {}: nothing ends there", id, config.vocab_size));
    }
    if (config.eos_token_id && out_of_vocab(*config.eos_token_id))
      remark(fmt::format("config.json: eos_token_id {} is no token of {}: nothing ends there", *config.eos_token_id, config.vocab_size));
    if (stop_ids(config, generation, tokenizer).empty())
      remark("no stop ids in config.json, generation_config.json or the tokenizer: answers end at --max-tokens alone");
  }

  void chat(const ChatTemplate& found, Diagnosis& d) {
    if (found.format) return;
    if (d.chats) d.flags.push_back("--chat-format v3");
    remark(found.text.empty() ? "no chat template: chat expects --chat-format v3 or r1"
                              : "the chat template is none of DeepSeek-V3's or R1's: chat expects --chat-format v3 or r1");
  }

  fs::path folder_;
  std::vector<Finding> findings_;
};

std::vector<MemoryPart> parts_of(const ModelConfig& config, Precision weights, int64_t tokens) {
  return memory_parts(config, {.trains = false, .precision = weights, .tokens = tokens});
}

// Memory, and the weights and context that fit.
void check_fit(const ModelConfig& config, const DoctorOptions& options, Precision stored, FolderCheck& check, Diagnosis& d) {
  d.free = free_memory();
  d.context = std::min(options.context > 0 ? options.context : 4096, config.max_position_embeddings);
  d.weights = options.weights.value_or(stored);
  const auto fits = [&](Precision p, int64_t tokens) { return total_bytes(parts_of(config, p, tokens)) <= d.free.bytes; };
  if (!options.weights && !fits(d.weights, d.context)) {
    for (const Precision narrower : {Precision::kBf16, Precision::kFp8, Precision::kInt8}) {
      if (fits(d.weights, d.context) || !fits(narrower, d.context)) continue;
      check.remark(fmt::format("{} weights, as the folder stores them, do not fit: counted with --weights {}", precision_name(stored),
                               precision_name(narrower)));
      d.weights = narrower;
    }
  }
  d.memory = parts_of(config, d.weights, d.context);
  d.cache_bytes_per_token = int64_t(total_bytes(parts_of(config, d.weights, 1)) - total_bytes(parts_of(config, d.weights, 0)));
  if (d.weights != stored) d.flags.push_back(fmt::format("--weights {}", precision_name(d.weights)));
  if (fits(d.weights, config.max_position_embeddings)) return;
  if (fits(d.weights, d.context)) {
    d.flags.push_back(fmt::format("{} {}", d.chats ? "--context" : "--max-tokens", d.context));
    return;
  }
  const double without_cache = total_bytes(parts_of(config, d.weights, 0));
  const int64_t room = int64_t((d.free.bytes - without_cache) / double(d.cache_bytes_per_token));
  const std::string hint = room > 0                     ? fmt::format("--context {} fits", room)
                           : fits(Precision::kInt8, 16) ? "--weights int8 fits"
                                                        : "a machine with more memory, or a smaller model";
  check.passes([&] { check_memory(d.memory, d.free.bytes, d.free.limit, hint); });
}

}  // namespace

Diagnosis diagnose(const fs::path& given, const DoctorOptions& options) {
  const fs::path folder = find_model_folder(given);
  FolderCheck check(folder);
  Diagnosis d;
  ModelConfig config;
  if (check.passes([&] { config = load_model_config(folder); })) {
    const bool whole = check.weights(config);
    check.text(config, d);
    Precision stored = Precision::kF32;
    if (whole) stored = stored_form(folder);
    check_fit(config, options, stored, check, d);
    const ModelShape shape = shape_of(config);
    d.bytes_per_token = double(decoded_weight_bytes(shape, d.weights)) + double(d.context / 2 * cache_bytes_per_token(shape, 4, false));
    d.read_gb_per_s = measure_machine(kernel_label()).stream_gb_per_s;
    d.tokens_per_s_at_most = d.read_gb_per_s * 1e9 / d.bytes_per_token;
  }
  d.findings = check.findings();
  return d;
}

Json diagnosis_json(const Diagnosis& d) {
  Json json = {{"works", d.works()}, {"faults", Json::array()}, {"remarks", Json::array()}};
  for (const Finding& finding : d.findings) json[finding.fault ? "faults" : "remarks"].push_back(finding.what);
  if (d.memory.empty()) return json;
  json["weights"] = precision_name(d.weights);
  json["context"] = d.context;
  for (const MemoryPart& part : d.memory) json["memory_bytes"][part.name] = part.bytes;
  json["memory_bytes"]["total"] = total_bytes(d.memory);
  json["free_bytes"] = d.free.bytes;
  json["free_limit"] = d.free.limit;
  json["cache_bytes_per_token"] = d.cache_bytes_per_token;
  json["bytes_per_token"] = d.bytes_per_token;
  json["read_gb_per_s"] = d.read_gb_per_s;
  json["tokens_per_s_at_most"] = d.tokens_per_s_at_most;
  json["verb"] = d.chats ? "chat" : "generate --ids";
  json["flags"] = d.flags;
  return json;
}

}  // namespace finback
