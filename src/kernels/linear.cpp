#include "kernels/linear.h"

#include <ATen/ATen.h>

#include <utility>

#include "base/error.h"
#include "kernels/gemm.h"
#include "kernels/variant.h"

namespace finback {
namespace {

// The one allowed layout of a row operand: unit column stride; rows may be strided (a column slice).
Operand rows_of(const at::Tensor& x, bool transposed = false) {
  FB_ASSERT(x.scalar_type() == at::kFloat && (x.stride(1) == 1 || x.size(1) <= 1), "rows of f32 with unit column stride");
  return transposed ? Operand{x.const_data_ptr<float>(), 1, x.stride(0)} : Operand{x.const_data_ptr<float>(), x.stride(0), 1};
}

}  // namespace

PackedWeight::PackedWeight(at::Tensor weight, const uint64_t* stamp, Precision precision)
    : weight_(std::move(weight)), stamp_(stamp), precision_(precision) {
  FB_ASSERT(weight_.dim() == 2 || weight_.dim() == 3, "a weight is [N, K] or [E, N, K]");
  FB_CHECK(precision == Precision::kF32, "expected precision f32: bf16, fp8 and int8 arithmetic is not built yet");
}

const float* PackedWeight::forward_panels(int64_t group) const {
  const int64_t floats = packed_floats(k(), n());
  if (!forward_.defined()) forward_ = at::empty({groups(), floats}, weight_.options().device(at::kCPU));
  if (forward_stamp_ != *stamp_) {
    for (int64_t e = 0; e < groups(); ++e) {
      const at::Tensor w_NK = weight_.dim() == 3 ? weight_[e] : weight_;
      pack_panels(k(), n(), {w_NK.const_data_ptr<float>(), 1, w_NK.stride(0)}, forward_.mutable_data_ptr<float>() + e * floats);
    }
    forward_stamp_ = *stamp_;
  }
  return forward_.const_data_ptr<float>() + group * floats;
}

const float* PackedWeight::backward_panels(int64_t group) const {
  const int64_t floats = packed_floats(n(), k());
  if (!backward_.defined()) backward_ = at::empty({groups(), floats}, weight_.options().device(at::kCPU));
  if (backward_stamp_ != *stamp_) {
    for (int64_t e = 0; e < groups(); ++e) {
      const at::Tensor w_NK = weight_.dim() == 3 ? weight_[e] : weight_;
      pack_panels(n(), k(), {w_NK.const_data_ptr<float>(), w_NK.stride(0), 1}, backward_.mutable_data_ptr<float>() + e * floats);
    }
    backward_stamp_ = *stamp_;
  }
  return backward_.const_data_ptr<float>() + group * floats;
}

at::Tensor linear(const at::Tensor& x_TK, const PackedWeight& w) {
  if (use_ref(x_TK)) return linear_ref(x_TK, w.weight());
  at::Tensor y_TN = at::empty({x_TK.size(0), w.n()}, x_TK.options());
  gemm_packed(x_TK.size(0), w.n(), w.k(), rows_of(x_TK), w.forward_panels(), y_TN.mutable_data_ptr<float>(), w.n(), false);
  return y_TN;
}

at::Tensor linear_dgrad(const at::Tensor& dy_TN, const PackedWeight& w) {
  if (use_ref(dy_TN)) return at::matmul(dy_TN, w.weight());
  at::Tensor dx_TK = at::empty({dy_TN.size(0), w.k()}, dy_TN.options());
  gemm_packed(dy_TN.size(0), w.k(), w.n(), rows_of(dy_TN), w.backward_panels(), dx_TK.mutable_data_ptr<float>(), w.k(), false);
  return dx_TK;
}

void linear_wgrad_(const at::Tensor& dw_NK, const at::Tensor& dy_TN, const at::Tensor& x_TK) {
  if (use_ref(dy_TN)) {
    dw_NK.add_(at::matmul(dy_TN.t(), x_TK));
    return;
  }
  gemm(dw_NK.size(0), dw_NK.size(1), dy_TN.size(0), rows_of(dy_TN, /*transposed=*/true), rows_of(x_TK), dw_NK.mutable_data_ptr<float>(),
       dw_NK.stride(0), true);
}

at::Tensor grouped_linear(const at::Tensor& x_SK, const PackedWeight& w, const std::vector<int64_t>& offsets) {
  if (use_ref(x_SK)) return grouped_linear_ref(x_SK, w.weight(), offsets);
  at::Tensor y_SN = at::empty({x_SK.size(0), w.n()}, x_SK.options());
  for (int64_t e = 0; e < w.groups(); ++e) {
    const int64_t begin = offsets[size_t(e)], rows = offsets[size_t(e) + 1] - begin;
    if (rows == 0) continue;
    gemm_packed(rows, w.n(), w.k(), rows_of(x_SK.slice(0, begin)), w.forward_panels(e), y_SN.mutable_data_ptr<float>() + begin * w.n(),
                w.n(), false);
  }
  return y_SN;
}

at::Tensor grouped_linear_dgrad(const at::Tensor& dy_SN, const PackedWeight& w, const std::vector<int64_t>& offsets) {
  if (use_ref(dy_SN)) return grouped_linear_ref(dy_SN, w.weight().transpose(1, 2), offsets);
  at::Tensor dx_SK = at::empty({dy_SN.size(0), w.k()}, dy_SN.options());
  for (int64_t e = 0; e < w.groups(); ++e) {
    const int64_t begin = offsets[size_t(e)], rows = offsets[size_t(e) + 1] - begin;
    if (rows == 0) continue;
    gemm_packed(rows, w.k(), w.n(), rows_of(dy_SN.slice(0, begin)), w.backward_panels(e), dx_SK.mutable_data_ptr<float>() + begin * w.k(),
                w.k(), false);
  }
  return dx_SK;
}

void grouped_linear_wgrad_(const at::Tensor& dw_ENK, const at::Tensor& dy_SN, const at::Tensor& x_SK, const std::vector<int64_t>& offsets) {
  for (int64_t e = 0; e < dw_ENK.size(0); ++e) {
    const int64_t begin = offsets[size_t(e)], end = offsets[size_t(e) + 1];
    if (begin < end) linear_wgrad_(dw_ENK[e], dy_SN.slice(0, begin, end), x_SK.slice(0, begin, end));
  }
}

at::Tensor heads_linear(const at::Tensor& x_THK, const at::Tensor& w_HNK) {
  if (use_ref(x_THK)) return at::einsum("thk,hnk->thn", {x_THK, w_HNK});
  at::Tensor y_THN = at::empty({x_THK.size(0), w_HNK.size(0), w_HNK.size(1)}, x_THK.options());
  for (int64_t h = 0; h < w_HNK.size(0); ++h) {
    gemm(x_THK.size(0), w_HNK.size(1), w_HNK.size(2), rows_of(x_THK.select(1, h)), rows_of(w_HNK[h], /*transposed=*/true),
         y_THN.mutable_data_ptr<float>() + h * w_HNK.size(1), y_THN.stride(0), false);
  }
  return y_THN;
}

at::Tensor heads_linear_t(const at::Tensor& x_THN, const at::Tensor& w_HNK) {
  if (use_ref(x_THN)) return at::einsum("thn,hnk->thk", {x_THN, w_HNK});
  at::Tensor y_THK = at::empty({x_THN.size(0), w_HNK.size(0), w_HNK.size(2)}, x_THN.options());
  for (int64_t h = 0; h < w_HNK.size(0); ++h) {
    gemm(x_THN.size(0), w_HNK.size(2), w_HNK.size(1), rows_of(x_THN.select(1, h)), rows_of(w_HNK[h]),
         y_THK.mutable_data_ptr<float>() + h * w_HNK.size(2), y_THK.stride(0), false);
  }
  return y_THK;
}

void heads_linear_wgrad_(const at::Tensor& dw_HNK, const at::Tensor& dy_THN, const at::Tensor& x_THK) {
  if (use_ref(dy_THN)) {
    dw_HNK.add_(at::einsum("thn,thk->hnk", {dy_THN, x_THK}));
    return;
  }
  for (int64_t h = 0; h < dw_HNK.size(0); ++h) linear_wgrad_(dw_HNK[h], dy_THN.select(1, h), x_THK.select(1, h));
}

}  // namespace finback
