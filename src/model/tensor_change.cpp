#include "model/tensor_change.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "model/safetensors_header.h"

namespace finback {
namespace {

// Into what a stored tensor turns; nullopt: it is dropped (the scales of a weight that leaves FP8).
std::optional<at::ScalarType> new_dtype(const SafetensorsFolder& folder, const TensorEntry& entry, const ConversionTarget& target,
                                        const Fp8Layout& layout) {
  const std::string name = quoted_name(entry.name);
  if (entry.name.ends_with(kScaleSuffix)) {
    const std::string weight = entry.name.substr(0, entry.name.size() - kScaleSuffix.size());
    FB_CHECK(folder.has(weight), "{}: expected its weight {}, not there", name, quoted_name(weight));
    return target.fp8 ? std::optional(entry.dtype) : std::nullopt;
  }
  if (entry.dtype == at::kFloat8_e4m3fn) {
    const std::string problem = fp8_scale_problem(folder, entry.name, entry.shape, layout);
    FB_CHECK(problem.empty(), "{}", problem);
    return target.fp8 ? at::kFloat8_e4m3fn : target.dtype;
  }
  FB_CHECK(!folder.has(entry.name + kScaleSuffix), "{}: expected F8_E4M3 beside a {}, got {}", name, kScaleSuffix, stored_dtype(entry));
  if (at::isIntegralType(entry.dtype, /*includeBool=*/true)) return entry.dtype;
  FB_CHECK(entry.dtype == at::kFloat || entry.dtype == at::kBFloat16 || entry.dtype == at::kHalf || entry.dtype == at::kDouble,
           "{}: expected F64, F32, BF16, F16 or F8_E4M3, got {}", name, stored_dtype(entry));
  if (entry.name.ends_with(".e_score_correction_bias")) return at::kFloat;
  FB_CHECK(!target.fp8 || entry.shape.size() <= 2, "{}: expected one tensor an expert for fp8, got a fused one", name);
  // Blocks of another size are copied, not made: what such a folder keeps out of FP8 stays out.
  if (!target.fp8 || !is_fp8_linear(entry.name) || !layout.is_deepseeks()) return target.dtype;
  FB_CHECK(entry.shape.size() == 2, "{}: expected a matrix for fp8, got [{}]", name, fmt::join(entry.shape, ", "));
  return at::kFloat8_e4m3fn;
}

}  // namespace

bool is_fp8_linear(const std::string& name) {
  return name.starts_with("model.layers.") && !name.ends_with(".eh_proj.weight") &&
         (name.ends_with("_proj.weight") || name.ends_with(".kv_a_proj_with_mqa.weight"));
}

std::vector<TensorChange> changes_of(const SafetensorsFolder& folder, std::vector<TensorEntry> stored, const ConversionTarget& target,
                                     const Fp8Layout& layout) {
  std::sort(stored.begin(), stored.end(), [](const TensorEntry& a, const TensorEntry& b) { return a.begin < b.begin; });
  std::vector<TensorChange> changes;
  for (TensorEntry& entry : stored) {
    if (const auto dtype = new_dtype(folder, entry, target, layout)) changes.push_back({std::move(entry), *dtype});
  }
  return changes;
}

int64_t linears_kept_wide(const std::vector<TensorChange>& changes) {
  return std::count_if(changes.begin(), changes.end(),
                       [](const TensorChange& change) { return is_fp8_linear(change.from.name) && change.to != at::kFloat8_e4m3fn; });
}

std::vector<TensorEntry> entries_after(const std::vector<TensorChange>& changes) {
  std::vector<TensorEntry> entries;
  uint64_t end = 0;
  const auto add = [&](const std::string& name, at::ScalarType dtype, const std::vector<int64_t>& shape) {
    const uint64_t begin = end;
    end += tensor_bytes(shape, dtype, name);
    entries.push_back({name, dtype, shape, begin, end});
  };
  for (const TensorChange& change : changes) {
    const TensorEntry& from = change.from;
    add(from.name, change.to, from.shape);
    if (change.adds_scales()) add(from.name + kScaleSuffix, at::kFloat, fp8_scale_shape(from.shape));
  }
  return entries;
}

void write_numbers(SafetensorsWriter& writer, const TensorChange& change, const at::Tensor& numbers, bool power_of_two) {
  const at::Tensor rounded = numbers.to(at::kFloat);
  if (!change.adds_scales()) return writer.write(rounded.to(change.to));
  const Fp8Blocks blocks = fp8_quantize_weight(rounded, power_of_two);
  writer.write(blocks.values);
  writer.write(blocks.scales);
}

void write_change(SafetensorsWriter& writer, const SafetensorsFolder& folder, const TensorChange& change, const Fp8Layout& layout) {
  const at::Tensor stored = folder.tensor(change.from.name);
  if (change.from.dtype == change.to) return writer.write(stored);
  if (change.from.dtype != at::kFloat8_e4m3fn) return write_numbers(writer, change, stored, layout.ue8m0);
  write_numbers(writer, change, read_fp8_weight(folder, change.from.name, layout));
}

ConversionTarget conversion_target(const std::string& word) {
  if (word == "f32") return {at::kFloat};
  if (word == "bf16") return {at::kBFloat16};
  if (word == "int8") return {at::kFloat, /*fp8=*/false, /*panels=*/true};
  FB_CHECK(word == "fp8", "--weights: expected f32, bf16, fp8 or int8, got \"{}\"", word);
  return {at::kBFloat16, true};
}

}  // namespace finback
