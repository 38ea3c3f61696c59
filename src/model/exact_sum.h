// Sums of per-row numbers that do not depend on how the rows were cut or ordered. See Note [Exact loss sums] in lm_loss.cpp.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>

namespace finback {

// The nearest multiple of 2^-24; NaN and infinity stay.
double on_grid(double x);
// Sum of f(x) over a f32 vector (f = identity when empty), each term on the grid.
double exact_sum(const at::Tensor& x_T, const std::function<double(double)>& f = {});

}  // namespace finback
