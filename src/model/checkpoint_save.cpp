#include <ATen/ATen.h>

#include <map>

#include "base/file.h"
#include "base/json.h"
#include "model/checkpoint.h"
#include "model/checkpoint_files.h"
#include "model/safetensors.h"
#include "model/safetensors_header.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

struct Output {
  std::string name;
  at::Tensor value;
  at::ScalarType dtype;
  uint64_t bytes() const { return uint64_t(value.numel()) * c10::elementSize(dtype); }
};

// Checkpoint order: the parameters, each bias after its gate, DeepSeek's copies of embedding and head inside each MTP layer.
std::vector<Output> outputs_of(const ModelConfig& config, const Parameters& parameters, at::ScalarType dtype) {
  const at::Tensor embedding_WD = parameters.value("model.embed_tokens.weight");
  const at::Tensor head_WD = config.tie_word_embeddings ? embedding_WD : parameters.value("lm_head.weight");
  std::vector<Output> outputs;
  for (const ParameterSpec& spec : parameters.specs()) {
    const auto prefix_before = [&](std::string_view suffix) { return spec.name.substr(0, spec.name.size() - suffix.size()); };
    if (spec.name.ends_with(".enorm.weight"))
      outputs.push_back({prefix_before("enorm.weight") + "embed_tokens.weight", embedding_WD, dtype});
    outputs.push_back({spec.name, parameters.value(spec.name), dtype});
    if (spec.name.ends_with(".shared_head.norm.weight")) outputs.push_back({prefix_before("norm.weight") + "head.weight", head_WD, dtype});
    if (spec.name.ends_with(".mlp.gate.weight") && config.has_expert_bias()) {
      const std::string bias = prefix_before("weight") + "e_score_correction_bias";
      outputs.push_back({bias, parameters.buffer(bias), at::kFloat});
    }
  }
  return outputs;
}

std::vector<std::vector<Output>> split_shards(std::vector<Output> outputs, uint64_t shard_bytes) {
  std::vector<std::vector<Output>> shards(1);
  uint64_t filled = 0;
  for (Output& output : outputs) {
    const uint64_t bytes = output.bytes();
    if (!shards.back().empty() && filled + bytes > shard_bytes) {
      shards.emplace_back();
      filled = 0;
    }
    filled += bytes;
    shards.back().push_back(std::move(output));
  }
  return shards;
}

void write_shard(const fs::path& path, const std::vector<Output>& shard, const std::map<std::string, std::string>& metadata,
                 WeightIndex& index) {
  std::vector<TensorEntry> entries;
  uint64_t end = 0;
  for (const Output& output : shard) {
    entries.push_back({output.name, output.dtype, output.value.sizes().vec(), end, end + output.bytes()});
    end += output.bytes();
    index.add(output.name, path.filename().string(), output.bytes());
  }
  SafetensorsWriter writer(path, std::move(entries), metadata);
  for (const Output& output : shard) writer.write(output.value.to(output.dtype));
  writer.commit();
}

// Earlier versions wrote another kind of fingerprint under "weights_fingerprint".
constexpr const char* kFingerprintKey = "weights_hash_of_pieces";

std::vector<std::vector<Output>> shards_of(const ModelConfig& config, const Parameters& parameters, const SaveOptions& options) {
  FB_CHECK(options.dtype == "f32" || options.dtype == "bf16", "dtype: expected f32 or bf16, got \"{}\"", options.dtype);
  return split_shards(outputs_of(config, parameters, options.dtype == "f32" ? at::kFloat : at::kBFloat16), options.shard_bytes);
}

void write_generation_config(const fs::path& folder, const ModelConfig& config) {
  Json json = {{"do_sample", true}};  // what finback does without it, said to programs that are greedy then
  if (config.bos_token_id) json["bos_token_id"] = *config.bos_token_id;
  if (config.eos_token_id) json["eos_token_id"] = *config.eos_token_id;
  if (config.other.contains("eos_token_id")) json["eos_token_id"] = config.other["eos_token_id"];  // a list
  write_file_atomic(folder / "generation_config.json", dump_json(json));
}

}  // namespace

std::optional<std::string> stored_fingerprint(const fs::path& folder) {
  const std::vector<std::string> shards = SafetensorsFolder(folder).shards();
  if (shards.empty()) return std::nullopt;
  const std::map<std::string, std::string> metadata = SafetensorsFile(folder / shards[0]).metadata();
  const auto found = metadata.find(kFingerprintKey);
  return found == metadata.end() ? std::nullopt : std::optional(found->second.substr(0, 60));
}

std::vector<WeightFile> weight_files(const ModelConfig& config, const Parameters& parameters, const SaveOptions& options) {
  const auto shards = shards_of(config, parameters, options);
  std::vector<WeightFile> files;
  for (size_t i = 0; i < shards.size(); ++i) {
    files.push_back({shard_file_name(i, shards.size()), {}});
    for (const Output& output : shards[i]) files.back().tensors.push_back(output.name);
  }
  return files;
}

void save_parameters(const fs::path& folder, const ModelConfig& config, const Parameters& parameters, const SaveOptions& options) {
  const auto shards = shards_of(config, parameters, options);
  const bool f32 = options.dtype == "f32";
  begin_model_folder(folder);
  WeightIndex index;
  std::map<std::string, std::string> metadata = {{"format", "pt"}};
  if (f32) metadata[kFingerprintKey] = parameters.fingerprint();  // of what is loaded from here, which rounding to bf16 changes
  for (size_t i = 0; i < shards.size(); ++i) write_shard(folder / shard_file_name(i, shards.size()), shards[i], metadata, index);
  index.finish(folder);
  write_generation_config(folder, config);
  if (!options.tokenizer_folder.empty()) copy_side_files(options.tokenizer_folder, folder, tokenizer_files());
  ModelConfig written = config;
  written.torch_dtype = f32 ? "float32" : "bfloat16";
  written.fp8_weights = false;
  write_file_atomic(folder / "config.json", dump_json(dump_model_config(written)));
}

}  // namespace finback
