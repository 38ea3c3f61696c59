#include <ATen/ATen.h>

#include "kernels/skeleton.h"

namespace finback {

// The shortest correct form in plain ATen: any device, any floating dtype, autograd works. Every variant is judged against it.
at::Tensor axpby_ref(const at::Tensor& y_TD, double a, const at::Tensor& x_TD, double b) { return a * x_TD + b * y_TD; }

}  // namespace finback
