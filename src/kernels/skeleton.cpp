#include "kernels/skeleton.h"

#include <ATen/ATen.h>

#include "base/error.h"
#include "base/pool.h"
#include "kernels/backend.h"
#include "kernels/rows.h"
#include "kernels/skeleton_cpu.h"

// Check, choose, hand pointers over. What runs in parallel is cut by constants, never by the thread count.

namespace finback {
namespace {

constexpr int64_t kSkeletonRows = 64;

}  // namespace

void axpby_(const at::Tensor& y_TD, double a, const at::Tensor& x_TD, double b) {
  FB_ASSERT(x_TD.sizes() == y_TD.sizes(), "x and y have one shape");
  if (backend_of(y_TD) == Backend::kRef) {
    y_TD.copy_(axpby_ref(y_TD, a, x_TD, b));
    return;
  }
  const Rows x = rows_of(x_TD), y = rows_of(y_TD);
  float* out = y_TD.mutable_data_ptr<float>();
  parallel_ranges(x.count, kSkeletonRows, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) skeleton_rows().axpby(x.columns, float(a), x.at(t), float(b), out + t * y.stride);
  });
}

AxpbyGrad axpby_backward(const at::Tensor& dout_TD, double a, double b) {
  AxpbyGrad grad{at::zeros(dout_TD.sizes(), dout_TD.options()), at::zeros(dout_TD.sizes(), dout_TD.options())};
  axpby_(grad.dx_TD, a, dout_TD, 0);
  axpby_(grad.dy_TD, b, dout_TD, 0);
  return grad;
}

}  // namespace finback
