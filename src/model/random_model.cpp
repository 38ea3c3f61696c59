#include "model/random_model.h"

#include <ATen/ATen.h>

#include <functional>

#include "base/error.h"
#include "base/file.h"
#include "base/output_place.h"
#include "base/pool.h"
#include "base/progress.h"
#include "model/checkpoint_files.h"
#include "model/config_json.h"
#include "model/conversion_folder.h"
#include "model/panel_folder.h"
#include "model/random_tensors.h"
#include "model/safetensors_header.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

struct RandomTensor {
  TensorChange change;  // from f32
  uint64_t bytes = 0;   // scales included
};

std::vector<RandomTensor> random_tensors(const RandomTensors& source, const ConversionTarget& target) {
  std::vector<RandomTensor> tensors;
  for (const std::string& name : source.names()) {
    const TensorEntry from = source.entry(name);
    const bool bias = name.ends_with(".e_score_correction_bias");
    const at::ScalarType to = bias ? at::kFloat : target.fp8 && is_fp8_linear(name) ? at::kFloat8_e4m3fn : target.dtype;
    RandomTensor tensor{{from, to}, tensor_bytes(from.shape, to, name)};
    if (tensor.change.adds_scales()) tensor.bytes += tensor_bytes(fp8_scale_shape(from.shape), at::kFloat, name);
    tensors.push_back(std::move(tensor));
  }
  return tensors;
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
                        const RandomTensors& source, const std::function<void(uint64_t bytes)>& wrote) {
  SafetensorsWriter writer(path, entries, conversion_metadata());
  for (size_t begin = 0; begin < shard.size();) {
    size_t end = begin;
    for (uint64_t bytes = 0; end < shard.size() && (end == begin || bytes + shard[end].bytes <= kBytesAtOnce); ++end)
      bytes += shard[end].bytes;
    std::vector<at::Tensor> numbers(end - begin);
    parallel_for(int64_t(end - begin), [&](int64_t i) { numbers[size_t(i)] = source.make(shard[begin + size_t(i)].change.from.name); });
    for (; begin < end; ++begin) {
      write_numbers(writer, shard[begin].change, numbers[numbers.size() - (end - begin)]);
      wrote(shard[begin].bytes);
    }
  }
  writer.commit();
}

// How many were there already.
size_t write_random_shards(const RandomTensors& source, const std::vector<std::vector<RandomTensor>>& shards, const fs::path& to,
                           bool goes_on) {
  uint64_t bytes = 0;
  for (const auto& shard : shards) {
    for (const RandomTensor& tensor : shard) bytes += tensor.bytes;
  }
  size_t kept = 0;
  WeightIndex index;
  Progress progress("random weights", double(bytes) / 1e6, "MB");
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
      ++kept;
      wrote(entries.back().end);
    } else {
      write_random_shard(path, entries, shards[i], source, wrote);
    }
  }
  progress.finish();
  index.finish(to);
  return kept;
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
  FB_CHECK(!fs::exists(to) || fs::is_directory(to), "{}: expected a folder to write, got a file", to.string());
  ResultFolder target_folder(to);  // held by one process from the first look at what is in it
  const bool goes_on = check_target(to, plan, options.overwrite);
  const RandomTensors source(done.config, model.seed);
  if (target.panels) {
    PanelWriter panels(source, {}, done.config, model.shard_bytes);
    done.bytes_after = panels.bytes(), done.shards = panels.shards();
    target_folder.keep();
    begin_target(to, plan, goes_on);
    done.kept_shards = panels.write(to, goes_on);
  } else {
    const auto shards = random_shards(random_tensors(source, target), model.shard_bytes);
    done.shards = shards.size();
    for (const auto& shard : shards) {
      for (const RandomTensor& tensor : shard) done.bytes_after += tensor.bytes;
    }
    target_folder.keep();
    begin_target(to, plan, goes_on);
    done.kept_shards = write_random_shards(source, shards, to, goes_on);
  }
  if (options.card) write_file_atomic(to / "README.md", options.card(done));
  end_target(to, converted_config(json, done.config, target));
  return done;
}

}  // namespace finback
