// The template to copy for a new op, complete on purpose: y = a x + b y over rows. An op is <op>.h, .cpp, _ref.cpp, _test.cpp,
// _bench.cpp: five new files, none edited; a CPU variant adds _cpu.h and _cpu.cpp. CMake finds them all by name.
// A header promises: the equation, shapes and dtypes, what may be strided, what is REQUIRED, what it throws, whose threads run it.
#pragma once
#include <ATen/core/Tensor.h>

namespace finback {

// y_TD = a * x_TD + b * y_TD in place, f32, on the pool. Both may be column slices.  REQUIRES: equal shapes.
void axpby_(const at::Tensor& y_TD, double a, const at::Tensor& x_TD, double b);
// Gradients of out = axpby(y, a, x, b): dx = a dout (new), dy = b dout (new).
struct AxpbyGrad {
  at::Tensor dx_TD, dy_TD;
};
AxpbyGrad axpby_backward(const at::Tensor& dout_TD, double a, double b);
// The reference; returns a new tensor, differentiable.
at::Tensor axpby_ref(const at::Tensor& y_TD, double a, const at::Tensor& x_TD, double b);

}  // namespace finback
