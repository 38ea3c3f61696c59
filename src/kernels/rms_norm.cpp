#include "kernels/rms_norm.h"

#include <ATen/ATen.h>

#include "base/error.h"
#include "base/pool.h"
#include "kernels/backend.h"
#include "kernels/ref_grad.h"
#include "kernels/rms_norm_cpu.h"
#include "kernels/rows.h"

namespace finback {
namespace {

constexpr int64_t kRmsNormRows = 64;

at::Tensor backward_ref(const at::Tensor& dy_TD, const at::Tensor& x_TD, const at::Tensor& weight_D, const at::Tensor& rstd_T,
                        const at::Tensor& dweight_D, const at::Tensor& residual_dy_TD) {
  // dx = rstd (w dy - x rstd^2 mean(x w dy)); dw = sum over tokens of x rstd dy.
  const at::Tensor normed_TD = x_TD * rstd_T.unsqueeze(-1), wdy_TD = dy_TD * weight_D;
  if (dweight_D.defined()) dweight_D.add_((dy_TD * normed_TD).sum(0));
  const at::Tensor dx_TD = (wdy_TD - normed_TD * (wdy_TD * normed_TD).mean(-1, true)) * rstd_T.unsqueeze(-1);
  return residual_dy_TD.defined() ? dx_TD + residual_dy_TD : dx_TD;
}

}  // namespace

RmsNorm rms_norm(const at::Tensor& x_TD, const at::Tensor& weight_D, double eps) {
  if (backend_of(x_TD) == Backend::kRef) return rms_norm_ref(x_TD, weight_D, eps);
  const Rows x = rows_of(x_TD);
  FB_ASSERT(weight_D.numel() == x.columns && weight_D.is_contiguous(), "one weight a column");
  RmsNorm norm{at::empty({x.count, x.columns}, x_TD.options()), at::empty({x.count}, x_TD.options())};
  const float* weight = weight_D.const_data_ptr<float>();
  float *y = norm.y_TD.mutable_data_ptr<float>(), *rstd = norm.rstd_T.mutable_data_ptr<float>();
  parallel_ranges(x.count, kRmsNormRows, [&](int64_t begin, int64_t end) {
    rms_norm_rows().forward(end - begin, x.columns, x.at(begin), x.stride, weight, float(eps), y + begin * x.columns, rstd + begin);
  });
  return norm;
}

RmsNorm add_rms_norm_(const at::Tensor& x_TD, const at::Tensor& residual_TD, const at::Tensor& weight_D, double eps) {
  FB_ASSERT(x_TD.is_contiguous() && residual_TD.is_contiguous() && x_TD.sizes() == residual_TD.sizes(), "two contiguous [T, D]");
  if (backend_of(x_TD) == Backend::kRef) return rms_norm_ref(x_TD.add_(residual_TD), weight_D, eps);
  const Rows x = rows_of(x_TD);
  FB_ASSERT(weight_D.numel() == x.columns && weight_D.is_contiguous(), "one weight a column");
  RmsNorm norm{at::empty({x.count, x.columns}, x_TD.options()), at::empty({x.count}, x_TD.options())};
  const float *weight = weight_D.const_data_ptr<float>(), *residual = residual_TD.const_data_ptr<float>();
  float *sum = x_TD.mutable_data_ptr<float>(), *y = norm.y_TD.mutable_data_ptr<float>(), *rstd = norm.rstd_T.mutable_data_ptr<float>();
  parallel_ranges(x.count, kRmsNormRows, [&](int64_t begin, int64_t end) {
    const int64_t at = begin * x.columns;
    rms_norm_rows().add_forward(end - begin, x.columns, sum + at, residual + at, weight, float(eps), y + at, rstd + begin);
  });
  return norm;
}

at::Tensor rms_norm_backward(const at::Tensor& dy_TD, const at::Tensor& x_TD, const at::Tensor& weight_D, const at::Tensor& rstd_T,
                             const at::Tensor& dweight_D, const at::Tensor& residual_dy_TD) {
  const bool residual = residual_dy_TD.defined();
  FB_ASSERT(!residual || (residual_dy_TD.is_contiguous() && residual_dy_TD.sizes() == x_TD.sizes()), "residual_dy is [T, D], contiguous");
  if (backend_of(x_TD) == Backend::kRef) return backward_ref(dy_TD, x_TD, weight_D, rstd_T, dweight_D, residual_dy_TD);
  const Rows x = rows_of(x_TD), dy = rows_of(dy_TD);
  FB_ASSERT(dy.count == x.count && dy.columns == x.columns && weight_D.is_contiguous() && rstd_T.is_contiguous(),
            "dy and rstd of these rows");
  at::Tensor dx_TD = at::empty({x.count, x.columns}, x_TD.options());
  const float *weight = weight_D.const_data_ptr<float>(), *rstd = rstd_T.const_data_ptr<float>();
  const float* past = residual ? residual_dy_TD.const_data_ptr<float>() : nullptr;
  float* dx = dx_TD.mutable_data_ptr<float>();
  parallel_ranges(x.count, kRmsNormRows, [&](int64_t begin, int64_t end) {
    rms_norm_rows().backward(end - begin, x.columns, dy.at(begin), dy.stride, x.at(begin), x.stride, weight, rstd + begin,
                             residual ? past + begin * x.columns : nullptr, dx + begin * x.columns);
  });
  if (!dweight_D.defined()) return dx_TD;
  FB_ASSERT(dweight_D.numel() == x.columns && dweight_D.is_contiguous(), "one gradient a column");
  float* dweight = dweight_D.mutable_data_ptr<float>();
  parallel_ranges(x.columns, kRmsNormColumns, [&](int64_t begin, int64_t end) {
    rms_norm_rows().weight_columns(x.count, end - begin, dy.data + begin, dy.stride, x.data + begin, x.stride, rstd, dweight + begin);
  });
  return dx_TD;
}

}  // namespace finback
