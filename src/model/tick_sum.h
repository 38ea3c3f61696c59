// Sums of per-row losses as whole ticks of 2^-24: integers, so they do not depend on how the rows were cut or ordered and may be added by
// anyone. See Note [Exact loss sums] in lm_loss.cpp.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

namespace finback {

// Up to 2^39 nats; beyond that, and for a row that is NaN, infinite or larger than 2^39, the sum is NaN.
struct TickSum {
  int64_t ticks = 0;
  int64_t lost_rows = 0;  // rows that no tick can hold, and overflows

  void add(double x);  // rounded to the nearest tick
  TickSum& operator+=(const TickSum& other);
  double value() const;
};
// Sum of f(x) over a f32 vector (f = identity when empty).
TickSum tick_sum(const at::Tensor& x_T, const std::function<double(double)>& f = {});

}  // namespace finback
