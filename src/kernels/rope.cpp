#include "kernels/rope.h"

#include <ATen/ATen.h>

namespace finback {

void rope_(const at::Tensor& x_THR, const at::Tensor& positions_T, const at::Tensor& cos_sin_SR, bool half_layout, bool inverse) {
  x_THR.copy_(rope_ref(x_THR, positions_T, cos_sin_SR, half_layout, inverse));
}

}  // namespace finback
