#include "model/tick_sum.h"

#include <ATen/ATen.h>

#include <cmath>
#include <limits>

namespace finback {

void TickSum::add(double x) {
  const double rounded = std::nearbyint(x * 0x1p24);
  // The negation catches NaN.
  if (!(std::fabs(rounded) < 0x1p63) || __builtin_add_overflow(ticks, int64_t(rounded), &ticks)) ++lost_rows;
}

TickSum& TickSum::operator+=(const TickSum& other) {
  lost_rows += other.lost_rows;
  if (__builtin_add_overflow(ticks, other.ticks, &ticks)) ++lost_rows;
  return *this;
}

double TickSum::value() const { return lost_rows > 0 ? std::numeric_limits<double>::quiet_NaN() : double(ticks) * 0x1p-24; }

TickSum tick_sum(const at::Tensor& x_T, const std::function<double(double)>& f) {
  const at::Tensor host_T = x_T.to(at::kCPU).contiguous();
  const float* x = host_T.const_data_ptr<float>();
  TickSum sum;
  for (int64_t i = 0; i < host_T.numel(); ++i) sum.add(f ? f(double(x[i])) : double(x[i]));
  return sum;
}

}  // namespace finback
