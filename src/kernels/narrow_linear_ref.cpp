#include <ATen/ATen.h>

#include "kernels/narrow_linear.h"

// Products in f64, so that one definition judges every variant.

namespace finback {
namespace {

at::Tensor group_of(const at::Tensor& weight, size_t e) { return weight.dim() == 3 ? weight[int64_t(e)] : weight; }

at::Tensor rows_of_slots(const NarrowRows& x, const Slots& slots) {
  const at::Tensor wide = widen_rows(x);
  return slots.rows_S.defined() ? wide.index_select(0, slots.rows_S) : wide;
}

// product(e, first slot, end) for every group, one below the other.
template <class Product>
at::Tensor by_group(const Slots& slots, const Product& product) {
  std::vector<at::Tensor> parts;
  for (size_t e = 0; e + 1 < slots.offsets.size(); ++e) parts.push_back(product(e, slots.offsets[e], slots.offsets[e + 1]));
  return at::cat(parts, 0).to(at::kFloat);
}

}  // namespace

at::Tensor narrow_columns_ref(const at::Tensor& x_SK, Precision precision, const std::vector<int64_t>& cuts) {
  if (precision != Precision::kFp8 || x_SK.size(0) == 0) return narrow_rows_ref(x_SK, precision);
  std::vector<at::Tensor> pieces;
  for (size_t i = 0; i + 1 < cuts.size(); ++i) pieces.push_back(narrow_rows_ref(x_SK.slice(0, cuts[i], cuts[i + 1]).t(), precision).t());
  return at::cat(pieces, 0);
}

at::Tensor narrow_linear_ref(const NarrowRows& x, const at::Tensor& weight, Precision precision, const Slots& slots) {
  const at::Tensor x_SK = rows_of_slots(x, slots).to(at::kDouble);
  return by_group(slots, [&](size_t e, int64_t first, int64_t end) {
    return at::matmul(x_SK.slice(0, first, end), narrow_weight_ref(group_of(weight, e), precision).to(at::kDouble).t());
  });
}

at::Tensor narrow_linear_dgrad_ref(const at::Tensor& dy_SN, const at::Tensor& weight, Precision precision, const Slots& slots) {
  const at::Tensor dy = narrow_rows_ref(dy_SN, precision).to(at::kDouble);
  return by_group(slots, [&](size_t e, int64_t first, int64_t end) {
    return at::matmul(dy.slice(0, first, end), narrow_weight_ref(group_of(weight, e), precision).to(at::kDouble));
  });
}

at::Tensor narrow_linear_wgrad_ref(const at::Tensor& dw, const at::Tensor& dy_SN, const NarrowRows& x, Precision precision,
                                   const Slots& slots) {
  const at::Tensor dy = narrow_columns_ref(dy_SN, precision, slots.cuts).to(at::kDouble);
  const at::Tensor x_SK = narrow_columns_ref(rows_of_slots(x, slots), precision, slots.cuts).to(at::kDouble);
  at::Tensor sum = dw.to(at::kDouble).contiguous();
  for (size_t e = 0; e + 1 < slots.offsets.size(); ++e) {
    const int64_t first = slots.offsets[e], end = slots.offsets[e + 1];
    if (first < end) group_of(sum, e).add_(at::matmul(dy.slice(0, first, end).t(), x_SK.slice(0, first, end)));
  }
  return sum.to(at::kFloat);
}

}  // namespace finback
