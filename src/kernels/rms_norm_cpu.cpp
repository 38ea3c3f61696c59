#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/rms_norm_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <cmath>

#include "gemm/lanes.h"
#include "kernels/rms_norm_cpu.h"

HWY_BEFORE_NAMESPACE();
namespace finback {
namespace HWY_NAMESPACE {

HWY_ATTR void forward(int64_t rows, int64_t d, const float* HWY_RESTRICT x, int64_t x_stride, const float* HWY_RESTRICT weight, float eps,
                      float* HWY_RESTRICT y, float* HWY_RESTRICT rstd) {
  for (int64_t t = 0; t < rows; ++t, x += x_stride, y += d) {
    const float squares = row_sum(d, [&](int64_t j, int64_t left) HWY_ATTR {
      const auto v = load_some(x + j, left);
      return hn::Mul(v, v);
    });
    rstd[t] = 1.0f / std::sqrt(squares / float(d) + eps);
    const auto scale = hn::Set(kF, rstd[t]);
    for (int64_t j = 0; j < d; j += lanes()) {
      store_some(hn::Mul(hn::Mul(load_some(x + j, d - j), scale), load_some(weight + j, d - j)), y + j, d - j);
    }
  }
}

HWY_ATTR void add_forward(int64_t rows, int64_t d, float* HWY_RESTRICT x, const float* HWY_RESTRICT residual,
                          const float* HWY_RESTRICT weight, float eps, float* HWY_RESTRICT y, float* HWY_RESTRICT rstd) {
  for (int64_t t = 0; t < rows; ++t, x += d, residual += d, y += d) {
    for (int64_t j = 0; j < d; j += lanes()) store_some(hn::Add(load_some(x + j, d - j), load_some(residual + j, d - j)), x + j, d - j);
    forward(1, d, x, d, weight, eps, y, rstd + t);
  }
}

// dx = rstd (w dy - xn mean(xn w dy)) with xn = x rstd, plus residual_dy.
HWY_ATTR void backward(int64_t rows, int64_t d, const float* HWY_RESTRICT dy, int64_t dy_stride, const float* HWY_RESTRICT x,
                       int64_t x_stride, const float* HWY_RESTRICT weight, const float* HWY_RESTRICT rstd, const float* residual_dy,
                       float* HWY_RESTRICT dx) {
  for (int64_t t = 0; t < rows; ++t, dy += dy_stride, x += x_stride, dx += d) {
    const float dot = row_sum(d, [&](int64_t j, int64_t left) HWY_ATTR {
      return hn::Mul(hn::Mul(load_some(dy + j, left), load_some(weight + j, left)), load_some(x + j, left));
    });
    const auto scale = hn::Set(kF, rstd[t]), mean = hn::Set(kF, dot * rstd[t] / float(d));
    for (int64_t j = 0; j < d; j += lanes()) {
      const auto wdy = hn::Mul(load_some(dy + j, d - j), load_some(weight + j, d - j));
      const auto normed = hn::Mul(load_some(x + j, d - j), scale);
      auto sum = hn::Mul(scale, hn::Sub(wdy, hn::Mul(normed, mean)));
      if (residual_dy != nullptr) sum = hn::Add(sum, load_some(residual_dy + t * d + j, d - j));
      store_some(sum, dx + j, d - j);
    }
  }
}

HWY_ATTR void weight_columns(int64_t rows, int64_t columns, const float* HWY_RESTRICT dy, int64_t dy_stride, const float* HWY_RESTRICT x,
                             int64_t x_stride, const float* HWY_RESTRICT rstd, float* HWY_RESTRICT dweight) {
  for (int64_t j = 0; j < columns; j += lanes()) {
    const int64_t left = columns - j;
    auto sum = load_some(dweight + j, left);
    for (int64_t t = 0; t < rows; ++t) {
      const auto normed = hn::Mul(load_some(x + t * x_stride + j, left), hn::Set(kF, rstd[t]));
      sum = hn::MulAdd(load_some(dy + t * dy_stride + j, left), normed, sum);
    }
    store_some(sum, dweight + j, left);
  }
}

HWY_ATTR const RmsNormRows* get_rms_norm_rows() {
  static const RmsNormRows table = {forward, add_forward, backward, weight_columns};
  return &table;
}

}  // namespace HWY_NAMESPACE
}  // namespace finback
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace finback {
HWY_EXPORT(get_rms_norm_rows);
const RmsNormRows& rms_norm_rows() { return *HWY_DYNAMIC_DISPATCH(get_rms_norm_rows)(); }
}  // namespace finback
#endif
