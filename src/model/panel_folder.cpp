#include "model/panel_folder.h"

#include <ATen/ATen.h>
#include <xxhash.h>

#include <algorithm>
#include <functional>
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "base/progress.h"
#include "model/checkpoint_files.h"
#include "model/config_json.h"
#include "model/conversion_folder.h"
#include "model/parameter_specs.h"
#include "model/safetensors.h"
#include "model/stored_matrix.h"
#include "model/stored_quantization.h"
#include "model/weights.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

constexpr const char *kPanels = ".panels", *kPanelScales = ".panel_scales";

std::string checksum_of(const at::Tensor& tensor) { return fmt::format("{:016x}", XXH3_64bits(tensor.const_data_ptr(), tensor.nbytes())); }

TensorEntry sized(const std::string& name, at::ScalarType dtype, const std::vector<int64_t>& shape) { return {name, dtype, shape, 0, 0}; }

// Everything serving reads but the matrices: embedding, norms, router.
std::vector<ParameterSpec> plain_tensors(const ModelConfig& config) {
  std::vector<ParameterSpec> plain;
  for (const ParameterSpec& spec : parameter_specs(config)) {
    if (!spec.is_stored()) plain.push_back(spec);
  }
  for (const ParameterSpec& spec : buffer_specs(config)) plain.push_back(spec);
  return plain;
}

// Matrices of a model of this shape, by name. kv_b_proj is written by head alone, as the absorbed algebra reads it.
std::map<std::string, StoredShape> panel_matrices(Transformer& model) {
  std::map<std::string, StoredShape> shapes;
  model.for_each_weight([&](LayerMatrix& m) {
    if (m.name.ends_with(".kv_b_proj")) return;
    const bool stacked = m.packed.groups() > 1 || m.name.find(".mlp.experts.") != std::string::npos || m.name.ends_with(".w_uk") ||
                         m.name.ends_with(".w_uv");
    shapes[m.name] = {stacked ? m.packed.groups() : 0, m.packed.n(), m.packed.k(), Precision::kInt8, m.transposed};
  });
  return shapes;
}

std::map<std::string, StoredShape> panel_matrices(const ModelConfig& config) {
  Transformer model(config, at::kCPU, /*trainable=*/false, /*holds_matrices=*/false);
  return panel_matrices(model);
}

std::vector<TensorEntry> entries_of(const std::string& matrix, const StoredShape& shape) {
  const PanelSizes sizes = panel_sizes(shape);
  return {sized(matrix + kPanels, at::kByte, sizes.values), sized(matrix + kPanelScales, at::kBFloat16, sizes.scales)};
}

void expect_tensor(const SafetensorsFolder& files, const TensorEntry& expected, const fs::path& folder) {
  FB_CHECK(files.has(expected.name), "{}: expected tensor {} [{}], not there", folder.string(), quoted_name(expected.name),
           fmt::join(expected.shape, ", "));
  const TensorEntry found = files.entry(expected.name);
  FB_CHECK(found.shape == expected.shape && found.dtype == expected.dtype, "{}: {}: expected {} [{}], got {} [{}]", folder.string(),
           quoted_name(expected.name), stored_dtype(expected), fmt::join(expected.shape, ", "), stored_dtype(found),
           fmt::join(found.shape, ", "));
}

}  // namespace

// A tensor as it is written: one beside the matrices, or a matrix, which is two.
struct PanelWriter::State {
  struct Item {
    std::vector<TensorEntry> entries;
    std::function<std::vector<at::Tensor>()> make;
    uint64_t bytes = 0;
  };
  State(const TensorSource& source, const Fp8Layout& layout, const ModelConfig& config, uint64_t most)
      : matrices(source, layout, config), shard_bytes(most) {}
  void add(Item item) {
    for (const TensorEntry& entry : item.entries) item.bytes += tensor_bytes(entry.shape, entry.dtype, entry.name);
    if (shards.empty() || filled + item.bytes > shard_bytes) shards.emplace_back(), filled = 0;
    filled += item.bytes, bytes += item.bytes;
    shards.back().push_back(std::move(item));
  }
  StoredMatrices matrices;
  std::vector<std::vector<Item>> shards;
  uint64_t shard_bytes, filled = 0, bytes = 0;
};

PanelWriter::PanelWriter(const TensorSource& source, const Fp8Layout& layout, const ModelConfig& config, uint64_t shard_bytes)
    : state_(std::make_unique<State>(source, layout, config, shard_bytes)) {
  for (const ParameterSpec& spec : plain_tensors(config)) {
    const at::ScalarType stored = source.entry(spec.name).dtype, dtype = stored == at::kBFloat16 ? stored : at::kFloat;
    state_->add({{sized(spec.name, dtype, spec.shape)}, [&source, spec, dtype, layout]() -> std::vector<at::Tensor> {
                   const bool fp8 = source.entry(spec.name).dtype == at::kFloat8_e4m3fn;
                   return {(fp8 ? read_fp8_weight(source, spec.name, layout) : source.tensor(spec.name)).to(dtype).contiguous()};
                 }});
  }
  for (const auto& [name, shape] : panel_matrices(config)) {
    state_->add({entries_of(name, shape), [this, name = name, shape = shape]() -> std::vector<at::Tensor> {
                   const StoredWeight weight(shape, [&](int64_t group, int64_t first_row, int64_t rows) {
                     return state_->matrices.codes(name, group, first_row, rows, Precision::kInt8, shape.transposed);
                   });
                   return {weight.memory(), weight.scales()};
                 }});
  }
}
PanelWriter::~PanelWriter() = default;
uint64_t PanelWriter::bytes() const { return state_->bytes; }
size_t PanelWriter::shards() const { return state_->shards.size(); }

size_t PanelWriter::write(const fs::path& to, bool goes_on) {
  size_t kept = 0;
  WeightIndex index;
  Json checksums = Json::object();
  Progress progress("int8 panels", double(bytes()) / 1e6, "MB");
  double written = 0;
  for (size_t i = 0; i < shards(); ++i) {
    const fs::path path = to / shard_file_name(i, shards());
    std::vector<TensorEntry> entries;
    for (const State::Item& item : state_->shards[i]) {
      for (TensorEntry entry : item.entries) {
        entry.begin = entries.empty() ? 0 : entries.back().end;
        entry.end = entry.begin + tensor_bytes(entry.shape, entry.dtype, entry.name);
        index.add(entry.name, path.filename().string(), entry.end - entry.begin);
        entries.push_back(std::move(entry));
      }
    }
    if (goes_on && is_written(path, entries)) {
      const SafetensorsFile file(path);
      for (const TensorEntry& entry : entries) checksums[entry.name] = checksum_of(file.tensor(entry.name));
      written += double(entries.back().end) / 1e6, ++kept;
      continue;
    }
    SafetensorsWriter writer(path, entries, conversion_metadata());
    for (const State::Item& item : state_->shards[i]) {
      const std::vector<at::Tensor> tensors = item.make();
      for (size_t t = 0; t < tensors.size(); ++t) {
        checksums[item.entries[t].name] = checksum_of(tensors[t]);
        writer.write(tensors[t]);
      }
      progress.update(written += double(item.bytes) / 1e6, fmt::format("shard {} of {}", i + 1, shards()));
    }
    writer.commit();
  }
  progress.finish();
  index.finish(to);
  write_file_atomic(to / kChecksumsFile, dump_json({{"xxh3_64", checksums}}));
  return kept;
}

void check_panel_folder(const fs::path& folder, const ModelConfig& config) {
  const Json given = read_config_json(folder).at("quantization_config"), expected = panel_quantization();
  FB_CHECK(given == expected, "{}: quantization_config: expected {}, got {}", (folder / "config.json").string(), dump_json_line(expected),
           dump_json_line(given));
  const SafetensorsFolder files(folder);
  for (const ParameterSpec& spec : plain_tensors(config)) {
    const bool bf16 = files.has(spec.name) && files.entry(spec.name).dtype == at::kBFloat16;
    expect_tensor(files, sized(spec.name, bf16 ? at::kBFloat16 : at::kFloat, spec.shape), folder);
  }
  for (const auto& [name, shape] : panel_matrices(config)) {
    for (const TensorEntry& entry : entries_of(name, shape)) expect_tensor(files, entry, folder);
  }
}

void check_panel_checksums(const fs::path& folder) {
  const SafetensorsFolder files(folder);
  const Json checksums = read_json(folder / kChecksumsFile).at("xxh3_64");
  const std::vector<std::string> names = files.names();
  Progress progress(fmt::format("checksums of {}", folder.string()), double(names.size()), "tensors");
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string expected = checksums.value(names[i], std::string("none")), got = checksum_of(files.tensor(names[i]));
    FB_CHECK(expected == got, "{}: {}: expected checksum {} of {}, got {}. Hint: the file is damaged; convert writes it again",
             (folder / files.shard_name(names[i])).string(), quoted_name(names[i]), expected, kChecksumsFile, got);
    progress.update(double(i + 1));
  }
  progress.vanish();
}

std::unique_ptr<Transformer> load_panel_model(const fs::path& folder, int64_t mtp_modules) {
  ModelConfig config = load_model_config(folder);
  config.num_nextn_predict_layers = std::min(config.num_nextn_predict_layers, mtp_modules);
  check_panel_folder(folder, config);
  const SafetensorsFolder files(folder);
  auto model = std::make_unique<Transformer>(config, at::kCPU, /*trainable=*/false, /*holds_matrices=*/false);
  Parameters& parameters = model->parameters();
  for (const ParameterSpec& spec : parameters.specs()) parameters.value(spec.name).copy_(files.tensor(spec.name));
  for (const ParameterSpec& spec : parameters.buffers()) parameters.buffer(spec.name).copy_(files.tensor(spec.name));
  parameters.touch();
  const auto weights = std::make_shared<StoredWeights>();
  for (const auto& [name, shape] : panel_matrices(*model))
    weights->emplace(name, StoredWeight(shape, files.tensor(name + kPanels), files.tensor(name + kPanelScales)));
  model->read_stored(weights);
  return model;
}

}  // namespace finback
