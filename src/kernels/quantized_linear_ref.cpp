#include <ATen/ATen.h>

#include "kernels/host_values.h"
#include "kernels/quantized_linear.h"

// Products in f64, so that one reference judges every variant.

namespace finback {
namespace {

at::Tensor group_of(const at::Tensor& weight, size_t e) { return weight.dim() == 3 ? weight[int64_t(e)] : weight; }

at::Tensor source_rows(const QuantizedRows& x, const RowGroups& groups) {
  const at::Tensor wide = dequantize_rows(x);
  return groups.source_rows_S.defined() ? wide.index_select(0, groups.source_rows_S) : wide;
}

// product(e, first row, end) for every group, one below the other.
template <class Product>
at::Tensor by_group(const RowGroups& groups, const Product& product) {
  const std::vector<int64_t> offsets = fetched_values(groups.offsets);
  std::vector<at::Tensor> parts;
  for (size_t e = 0; e + 1 < offsets.size(); ++e) parts.push_back(product(e, offsets[e], offsets[e + 1]));
  return at::cat(parts, 0).to(at::kFloat);
}

}  // namespace

at::Tensor quantized_columns_ref(const at::Tensor& x_SK, Precision precision, const at::Tensor& tile_boundaries) {
  if (precision != Precision::kFp8 || x_SK.size(0) == 0) return quantized_rows_ref(x_SK, precision);
  const std::vector<int64_t> boundaries = fetched_values(tile_boundaries);
  std::vector<at::Tensor> tiles;
  for (size_t i = 0; i + 1 < boundaries.size(); ++i) {
    if (boundaries[i] == boundaries[i + 1]) continue;
    tiles.push_back(quantized_rows_ref(x_SK.slice(0, boundaries[i], boundaries[i + 1]).t(), precision).t());
  }
  return at::cat(tiles, 0);
}

at::Tensor quantized_linear_ref(const QuantizedRows& x, const at::Tensor& weight, Precision precision, const RowGroups& groups) {
  const at::Tensor x_SK = source_rows(x, groups).to(at::kDouble);
  return by_group(groups, [&](size_t e, int64_t first, int64_t end) {
    return at::matmul(x_SK.slice(0, first, end), quantized_weight_ref(group_of(weight, e), precision).to(at::kDouble).t());
  });
}

at::Tensor quantized_linear_dgrad_ref(const at::Tensor& dy_SN, const at::Tensor& weight, Precision precision, const RowGroups& groups) {
  const at::Tensor dy = quantized_rows_ref(dy_SN, precision).to(at::kDouble);
  return by_group(groups, [&](size_t e, int64_t first, int64_t end) {
    return at::matmul(dy.slice(0, first, end), quantized_weight_ref(group_of(weight, e), precision).to(at::kDouble));
  });
}

at::Tensor quantized_linear_wgrad_ref(const at::Tensor& dw, const at::Tensor& dy_SN, const QuantizedRows& x, Precision precision,
                                      const RowGroups& groups) {
  const at::Tensor dy = quantized_columns_ref(dy_SN, precision, groups.tile_boundaries).to(at::kDouble);
  const at::Tensor x_SK = quantized_columns_ref(source_rows(x, groups), precision, groups.tile_boundaries).to(at::kDouble);
  at::Tensor sum = dw.to(at::kDouble).contiguous();
  const std::vector<int64_t> offsets = fetched_values(groups.offsets);
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    const int64_t first = offsets[e], end = offsets[e + 1];
    if (first < end) group_of(sum, e).add_(at::matmul(dy.slice(0, first, end).t(), x_SK.slice(0, first, end)));
  }
  return sum.to(at::kFloat);
}

}  // namespace finback
