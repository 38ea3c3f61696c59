#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/adamw_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "gemm/lanes.h"
#include "kernels/adamw_cpu.h"

HWY_BEFORE_NAMESPACE();
namespace finback {
namespace HWY_NAMESPACE {

HWY_ATTR void update(int64_t n, const AdamwRanges::Numbers& numbers, float keep, const float* HWY_RESTRICT grads,
                     float* HWY_RESTRICT values, float* HWY_RESTRICT m, float* HWY_RESTRICT v) {
  const auto grad_scale = hn::Set(kF, numbers.grad_scale), beta1 = hn::Set(kF, numbers.beta1), beta2 = hn::Set(kF, numbers.beta2);
  const auto rest1 = hn::Set(kF, numbers.one_minus_beta1), rest2 = hn::Set(kF, numbers.one_minus_beta2), eps = hn::Set(kF, numbers.eps);
  const auto rate = hn::Set(kF, numbers.rate), inverse = hn::Set(kF, numbers.inverse_correction2), kept = hn::Set(kF, keep);
  for (int64_t j = 0; j < n; j += lanes()) {
    const int64_t left = n - j;
    const auto g = hn::Mul(load_some(grads + j, left), grad_scale);
    const auto mean = hn::MulAdd(beta1, load_some(m + j, left), hn::Mul(rest1, g));
    const auto square = hn::MulAdd(beta2, load_some(v + j, left), hn::Mul(rest2, hn::Mul(g, g)));
    const auto denominator = hn::Add(hn::Sqrt(hn::Mul(square, inverse)), eps);
    store_some(mean, m + j, left);
    store_some(square, v + j, left);
    store_some(hn::Sub(hn::Mul(load_some(values + j, left), kept), hn::Div(hn::Mul(rate, mean), denominator)), values + j, left);
  }
}

HWY_ATTR double sum_of_squares(int64_t n, const float* HWY_RESTRICT x) {
  const hn::ScalableTag<double> wide;
  const hn::Rebind<float, hn::ScalableTag<double>> narrow;
  const int64_t step = int64_t(hn::Lanes(wide));
  auto even = hn::Zero(wide), odd = even;
  int64_t j = 0;
  for (; j + 2 * step <= n; j += 2 * step) {
    const auto a = hn::PromoteTo(wide, hn::LoadU(narrow, x + j)), b = hn::PromoteTo(wide, hn::LoadU(narrow, x + j + step));
    even = hn::MulAdd(a, a, even);
    odd = hn::MulAdd(b, b, odd);
  }
  double sum = hn::GetLane(hn::SumOfLanes(wide, hn::Add(even, odd)));
  for (; j < n; ++j) sum += double(x[j]) * double(x[j]);
  return sum;
}

HWY_ATTR const AdamwRanges* get_adamw_ranges() {
  static const AdamwRanges table = {update, sum_of_squares};
  return &table;
}

}  // namespace HWY_NAMESPACE
}  // namespace finback
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace finback {
HWY_EXPORT(get_adamw_ranges);
const AdamwRanges& adamw_ranges() { return *HWY_DYNAMIC_DISPATCH(get_adamw_ranges)(); }
}  // namespace finback
#endif
