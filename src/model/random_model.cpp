#include "model/random_model.h"

#include <ATen/ATen.h>

#include <cstring>
#include <functional>

#include "base/error.h"
#include "base/file.h"
#include "base/pool.h"
#include "base/progress.h"
#include "base/rng.h"
#include "model/checkpoint_files.h"
#include "model/config_json.h"
#include "model/conversion_folder.h"
#include "model/parameter_specs.h"
#include "model/safetensors_header.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

// A tensor to write. `key` names its numbers: DeepSeek's copies of embedding and head have those of the original.
struct RandomTensor {
  TensorChange change;  // from f32
  std::string key;
  uint64_t bytes = 0;  // scales included
};

// In checkpoint order, as checkpoint_save.cpp writes a model.
std::vector<RandomTensor> random_tensors(const ModelConfig& config, const ConversionTarget& target) {
  const std::string embedding = "model.embed_tokens.weight", head = config.tie_word_embeddings ? embedding : "lm_head.weight";
  const std::vector<int64_t> rows = {config.vocab_size, config.hidden_size};
  std::vector<RandomTensor> tensors;
  const auto add = [&](const std::string& name, const std::vector<int64_t>& shape, at::ScalarType to, const std::string& key) {
    RandomTensor tensor{{{name, at::kFloat, shape, 0, 0}, to}, key, tensor_bytes(shape, to, name)};
    if (tensor.change.adds_scales()) tensor.bytes += tensor_bytes(fp8_scale_shape(shape), at::kFloat, name);
    tensors.push_back(std::move(tensor));
  };
  for (const ParameterSpec& spec : parameter_specs(config)) {
    const auto sibling = [&](const char* of, const char* name) { return spec.name.substr(0, spec.name.size() - std::strlen(of)) + name; };
    if (spec.name.ends_with(".enorm.weight")) add(sibling("enorm.weight", "embed_tokens.weight"), rows, target.dtype, embedding);
    add(spec.name, spec.shape, target.fp8 && is_fp8_linear(spec.name) ? at::kFloat8_e4m3fn : target.dtype, spec.name);
    if (spec.name.ends_with(".shared_head.norm.weight")) add(sibling("norm.weight", "head.weight"), rows, target.dtype, head);
    if (spec.name.ends_with(".mlp.gate.weight") && config.has_expert_bias())
      add(sibling("weight", "e_score_correction_bias"), {config.n_routed_experts}, at::kFloat, "");
  }
  return tensors;
}

// As Parameters::initialize has them.
at::Tensor random_numbers(const RandomTensor& tensor, const ModelConfig& config, uint64_t seed) {
  const std::vector<int64_t>& shape = tensor.change.from.shape;
  if (tensor.key.empty()) return at::zeros(shape, at::kFloat);
  if (shape.size() < 2) return at::ones(shape, at::kFloat);
  const at::Tensor numbers = at::empty(shape, at::kFloat);
  fill_normal(numbers.mutable_data_ptr<float>(), numbers.numel(), float(config.initializer_range), Stream::kInit, seed,
              xxhash64(tensor.key));
  return numbers;
}

std::vector<std::vector<RandomTensor>> random_shards(std::vector<RandomTensor> tensors, uint64_t shard_bytes) {
  std::vector<std::vector<RandomTensor>> shards(1);
  uint64_t filled = 0;
  for (RandomTensor& tensor : tensors) {
    if (!shards.back().empty() && filled + tensor.bytes > shard_bytes) shards.emplace_back(), filled = 0;
    filled += tensor.bytes;
    shards.back().push_back(std::move(tensor));
  }
  return shards;
}

// Several tensors at once, one a thread, but no more than are brought into memory so.
constexpr uint64_t kBytesAtOnce = uint64_t{256} << 20;

void write_random_shard(const fs::path& path, const std::vector<TensorEntry>& entries, const std::vector<RandomTensor>& shard,
                        const ModelConfig& config, uint64_t seed, const std::function<void(uint64_t bytes)>& wrote) {
  SafetensorsWriter writer(path, entries, conversion_metadata());
  for (size_t begin = 0; begin < shard.size();) {
    size_t end = begin;
    for (uint64_t bytes = 0; end < shard.size() && (end == begin || bytes + shard[end].bytes <= kBytesAtOnce); ++end)
      bytes += shard[end].bytes;
    std::vector<at::Tensor> numbers(end - begin);
    parallel_for(int64_t(end - begin), [&](int64_t i) { numbers[size_t(i)] = random_numbers(shard[begin + size_t(i)], config, seed); });
    for (; begin < end; ++begin) {
      write_numbers(writer, shard[begin].change, numbers[numbers.size() - (end - begin)]);
      wrote(shard[begin].bytes);
    }
  }
  writer.commit();
}

}  // namespace

Conversion write_random_model(const RandomModel& model, const fs::path& to, const std::string& weights, const ConvertOptions& options) {
  const ConversionTarget target = conversion_target(weights);
  const Json json = read_config_json(model.config);
  Conversion done;
  done.config = load_model_config(model.config);
  done.weights = weights;
  done.mtp_modules = done.config.num_nextn_predict_layers;
  const Json plan = {{"format_version", 1},
                     {"weights", weights},
                     {"random", model.seed},
                     {"shard_bytes", model.shard_bytes},
                     {"config", fmt::format("{:016x}", xxhash64(dump_json(json)))}};
  const bool goes_on = check_target(to, plan, options.overwrite);
  const auto shards = random_shards(random_tensors(done.config, target), model.shard_bytes);
  for (const auto& shard : shards) {
    for (const RandomTensor& tensor : shard) done.bytes_after += tensor.bytes;
  }
  begin_target(to, plan, goes_on);
  WeightIndex index;
  Progress progress("random weights", double(done.bytes_after) / 1e6, "MB");
  double written = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    const fs::path path = to / shard_file_name(i, shards.size());
    std::vector<TensorChange> changes;
    for (const RandomTensor& tensor : shards[i]) changes.push_back(tensor.change);
    const std::vector<TensorEntry> entries = entries_after(changes);
    for (const TensorEntry& entry : entries) index.add(entry.name, path.filename().string(), entry.end - entry.begin);
    const auto wrote = [&](uint64_t bytes) {
      progress.update(written += double(bytes) / 1e6, fmt::format("shard {} of {}", i + 1, shards.size()));
    };
    if (goes_on && is_written(path, entries)) {
      ++done.kept_shards;
      wrote(entries.back().end);
    } else {
      write_random_shard(path, entries, shards[i], done.config, model.seed, wrote);
    }
  }
  progress.finish();
  done.shards = shards.size();
  index.finish(to);
  if (options.card) write_file_atomic(to / "README.md", options.card(done));
  end_target(to, converted_config(json, done.config, target));
  return done;
}

}  // namespace finback
