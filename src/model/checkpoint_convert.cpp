#include <ATen/ATen.h>

#include <algorithm>
#include <optional>

#include "base/file.h"
#include "base/json.h"
#include "model/checkpoint.h"
#include "model/checkpoint_files.h"
#include "model/fp8_scales.h"
#include "model/safetensors.h"
#include "model/safetensors_header.h"
#include "model/stored_quantization.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

// The target of a conversion: what most floating tensors become, and whether projections become FP8.
struct Target {
  at::ScalarType dtype;
  bool fp8;
};

Target target_of(const std::string& dtype) {
  if (dtype == "f32") return {at::kFloat, false};
  if (dtype == "bf16") return {at::kBFloat16, false};
  FB_CHECK(dtype == "fp8", "--dtype: expected f32, bf16 or fp8, got \"{}\"{}", dtype,
           dtype.starts_with("int") ? ". Hint: integer weights are not built; fp8 has the size of int8" : "");
  return {at::kBFloat16, true};
}

// V3 section 3.3.1: the linears of the blocks. Embedding, head, norms, router and eh_proj stay.
bool is_fp8_linear(const std::string& name) {
  return name.starts_with("model.layers.") && !name.ends_with(".eh_proj.weight") &&
         (name.ends_with("_proj.weight") || name.ends_with(".kv_a_proj_with_mqa.weight"));
}

void check_fp8_weight(const SafetensorsFolder& folder, const TensorEntry& entry) {
  const std::string name = quoted_name(entry.name);
  FB_CHECK(entry.shape.size() == 2 && folder.has(entry.name + kScaleSuffix), "{}: expected an FP8 matrix with its {}", name, kScaleSuffix);
  const TensorEntry scales = folder.entry(entry.name + kScaleSuffix);
  const std::vector<int64_t> expected = fp8_scale_shape(entry.shape);
  FB_CHECK(scales.shape == expected && scales.dtype == at::kFloat, "{}{}: expected F32 [{}]", name, kScaleSuffix,
           fmt::join(expected, ", "));
}

// Into what a stored tensor turns; nullopt: it is dropped (the scales of a weight that leaves FP8).
std::optional<at::ScalarType> new_dtype(const SafetensorsFolder& folder, const TensorEntry& entry, const Target& target) {
  const std::string name = quoted_name(entry.name);
  if (entry.name.ends_with(kScaleSuffix)) {
    const std::string weight = entry.name.substr(0, entry.name.size() - kScaleSuffix.size());
    FB_CHECK(folder.has(weight), "{}: expected its weight {}, not there", name, quoted_name(weight));
    return target.fp8 ? std::optional(entry.dtype) : std::nullopt;
  }
  if (entry.dtype == at::kFloat8_e4m3fn) {
    check_fp8_weight(folder, entry);
    return target.fp8 ? at::kFloat8_e4m3fn : target.dtype;
  }
  FB_CHECK(!folder.has(entry.name + kScaleSuffix), "{}: expected F8_E4M3 beside a {}, got {}", name, kScaleSuffix,
           safetensors_dtype(entry.dtype));
  if (at::isIntegralType(entry.dtype, /*includeBool=*/true)) return entry.dtype;
  FB_CHECK(entry.dtype == at::kFloat || entry.dtype == at::kBFloat16 || entry.dtype == at::kHalf,
           "{}: expected F32, BF16, F16 or F8_E4M3, got {}", name, safetensors_dtype(entry.dtype));
  if (entry.name.ends_with(".e_score_correction_bias")) return at::kFloat;
  FB_CHECK(!target.fp8 || entry.shape.size() <= 2, "{}: expected one tensor an expert for fp8, got a fused one", name);
  if (!target.fp8 || !is_fp8_linear(entry.name)) return target.dtype;
  FB_CHECK(entry.shape.size() == 2, "{}: expected a matrix for fp8, got [{}]", name, fmt::join(entry.shape, ", "));
  return at::kFloat8_e4m3fn;
}

struct Change {
  TensorEntry from;
  at::ScalarType to;
  bool adds_scales() const { return to == at::kFloat8_e4m3fn && from.dtype != to; }
};

// A shard's tensors in the order of their bytes. Throws for a tensor that cannot be converted.
std::vector<Change> changes_of(const SafetensorsFolder& folder, std::vector<TensorEntry> stored, const Target& target) {
  std::sort(stored.begin(), stored.end(), [](const TensorEntry& a, const TensorEntry& b) { return a.begin < b.begin; });
  std::vector<Change> changes;
  for (TensorEntry& entry : stored) {
    if (const auto dtype = new_dtype(folder, entry, target)) changes.push_back({std::move(entry), *dtype});
  }
  return changes;
}

// Entries of the new shard: each tensor in its old order, followed by the scales that it gains.
std::vector<TensorEntry> new_entries(const std::vector<Change>& changes) {
  std::vector<TensorEntry> entries;
  uint64_t end = 0;
  const auto add = [&](const std::string& name, at::ScalarType dtype, const std::vector<int64_t>& shape) {
    const uint64_t begin = end;
    end += tensor_bytes(shape, dtype, name);
    entries.push_back({name, dtype, shape, begin, end});
  };
  for (const Change& change : changes) {
    const TensorEntry& from = change.from;
    add(from.name, change.to, from.shape);
    if (change.adds_scales()) add(from.name + kScaleSuffix, at::kFloat, fp8_scale_shape(from.shape));
  }
  return entries;
}

void write_changed(SafetensorsWriter& writer, const SafetensorsFolder& folder, const Change& change) {
  const at::Tensor stored = folder.tensor(change.from.name);
  if (change.from.dtype == change.to) return writer.write(stored);
  if (change.adds_scales()) {
    const Fp8Blocks blocks = fp8_quantize_weight(stored);
    writer.write(blocks.values);
    return writer.write(blocks.scales);
  }
  if (change.from.dtype != at::kFloat8_e4m3fn) return writer.write(stored.to(change.to));
  writer.write(fp8_dequantize_weight(stored, folder.tensor(change.from.name + kScaleSuffix)).to(change.to));
}

void convert_shard(const SafetensorsFolder& folder, const std::vector<Change>& changes, const fs::path& path, WeightIndex& index) {
  std::vector<TensorEntry> entries = new_entries(changes);
  for (const TensorEntry& entry : entries) index.add(entry.name, path.filename().string(), entry.end - entry.begin);
  SafetensorsWriter writer(path, std::move(entries), {{"format", "pt"}});
  for (const Change& change : changes) write_changed(writer, folder, change);
  writer.commit();
}

}  // namespace

void convert_model(const fs::path& from, const fs::path& to, const std::string& dtype) {
  const Target target = target_of(dtype);
  ModelConfig config = load_model_config(from);
  check_stored_quantization(from);
  const SafetensorsFolder folder(from);
  std::error_code absent;
  FB_CHECK(!fs::equivalent(from, to, absent), "{}: expected another folder than the one that is read", to.string());
  std::vector<std::vector<TensorEntry>> shards;
  std::string last;
  for (const std::string& name : folder.names()) {  // shard by shard
    if (folder.shard_name(name) != last) shards.emplace_back();
    last = folder.shard_name(name);
    shards.back().push_back(folder.entry(name));
  }
  std::vector<std::vector<Change>> changes;
  for (std::vector<TensorEntry>& shard : shards) changes.push_back(changes_of(folder, std::move(shard), target));
  begin_model_folder(to);  // behind every check: a refusal leaves what was there
  WeightIndex index;
  for (size_t i = 0; i < changes.size(); ++i) convert_shard(folder, changes[i], to / shard_file_name(i, changes.size()), index);
  index.finish(to);
  copy_side_files(from, to, tokenizer_files());
  copy_side_files(from, to, {"generation_config.json"});
  config.torch_dtype = target.dtype == at::kFloat ? "float32" : "bfloat16";
  config.fp8_weights = target.fp8;
  write_file_atomic(to / "config.json", dump_json(dump_model_config(config)));
}

}  // namespace finback
