#include "model/fp8_scales.h"

#include <ATen/ATen.h>

#include <limits>

#include "base/json.h"
#include "model/safetensors_header.h"
#include "model/stored_quantization.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

// Bytes of E8M0 -> f32: 2^(byte - 127), 255 is NaN. The byte is f32's exponent field, but for 0, where f32 is subnormal.
at::Tensor exponents_to_f32(const at::Tensor& scales) {
  const at::Tensor bytes = scales.contiguous().view(at::kByte).to(at::kInt);
  at::Tensor values = bytes.mul(1 << 23).view(at::kFloat);
  values = at::where(bytes.eq(0), at::full({}, 0x1p-127f), values);
  return at::where(bytes.eq(255), at::full({}, std::numeric_limits<float>::quiet_NaN()), values);
}

bool is_scale_dtype(const TensorEntry& entry, const Fp8Layout& layout) {
  const at::ScalarType dtype = entry.dtype;
  return dtype == at::kFloat || dtype == at::kBFloat16 || dtype == at::kHalf || dtype == at::kDouble || dtype == at::kFloat8_e8m0fnu ||
         (dtype == at::kByte && layout.ue8m0);
}

// One scale a value.
at::Tensor spread(const at::Tensor& scales, const Fp8Layout& layout, at::IntArrayRef shape) {
  return scales.repeat_interleave(layout.block_rows, 0)
      .narrow(0, 0, shape[0])
      .repeat_interleave(layout.block_columns, 1)
      .narrow(1, 0, shape[1]);
}

}  // namespace

Fp8Layout read_fp8_layout(const fs::path& folder) {
  Fp8Layout layout;
  const fs::path file = folder / "config.json";
  if (!fs::exists(file)) return layout;
  const Json config = read_json(file);
  const std::optional<std::string> fault = quantization_fault(config, file.string());
  if (!fault) return layout;
  FB_CHECK(fault->empty(), "{}: {}. Hint: other quantizations are counted by inspect and not read", file.string(), *fault);
  const Json& quantization = fp8_quantization(config);
  const Json &block = quantization.at("weight_block_size"), format = quantization.value("scale_fmt", Json());
  layout.block_rows = block[0].get<int64_t>(), layout.block_columns = block[1].get<int64_t>();
  layout.ue8m0 = format == "ue8m0" || format == "UE8M0";
  return layout;
}

std::vector<int64_t> fp8_scale_shape(const std::vector<int64_t>& weight, const Fp8Layout& layout) {
  return {(weight[0] + layout.block_rows - 1) / layout.block_rows, (weight[1] + layout.block_columns - 1) / layout.block_columns};
}

std::string fp8_scale_problem(const TensorSource& files, const std::string& weight, const std::vector<int64_t>& shape,
                              const Fp8Layout& layout) {
  const std::string name = weight + kScaleSuffix;
  if (shape.size() != 2) return fmt::format("{}: expected a matrix for F8_E4M3", quoted_name(weight));
  if (!files.has(name)) return fmt::format("{}: expected its scales {}, not there", quoted_name(weight), quoted_name(name));
  const TensorEntry scales = files.entry(name);
  const std::vector<int64_t> expected = fp8_scale_shape(shape, layout);
  if (scales.shape == expected && is_scale_dtype(scales, layout)) return "";
  const bool unsaid = scales.shape == expected && scales.dtype == at::kByte;
  return fmt::format("{}: expected F32 [{}], got {} [{}]{}", quoted_name(name), fmt::join(expected, ", "), stored_dtype(scales),
                     fmt::join(scales.shape, ", "),
                     unsaid ? ". Hint: scale_fmt = ue8m0 in config.json would say that these are exponents" : "");
}

at::Tensor read_fp8_scales(const TensorSource& files, const std::string& weight) {
  const at::Tensor stored = files.tensor(weight + kScaleSuffix);
  const bool exponents = stored.scalar_type() == at::kFloat8_e8m0fnu || stored.scalar_type() == at::kByte;
  return exponents ? exponents_to_f32(stored) : stored.to(at::kFloat);
}

at::Tensor read_fp8_weight(const TensorSource& files, const std::string& weight, const Fp8Layout& layout) {
  return read_fp8_weight(files, weight, layout, 0, files.entry(weight).shape[0]);
}

at::Tensor read_fp8_weight(const TensorSource& files, const std::string& weight, const Fp8Layout& layout, int64_t first_row, int64_t rows) {
  // Whole blocks of rows, then those asked for.
  const int64_t first_block = first_row / layout.block_rows, skipped = first_row - first_block * layout.block_rows;
  const at::Tensor values = files.tensor(weight).narrow(0, first_row - skipped, skipped + rows);
  const at::Tensor scales =
      read_fp8_scales(files, weight).slice(0, first_block, (first_row + rows + layout.block_rows - 1) / layout.block_rows);
  const at::Tensor numbers =
      layout.is_deepseeks() ? fp8_dequantize_weight(values, scales) : values.to(at::kFloat).mul_(spread(scales, layout, values.sizes()));
  return numbers.narrow(0, skipped, rows);
}

}  // namespace finback
