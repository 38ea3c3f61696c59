#include <ATen/ATen.h>

#include "kernels/rope.h"

namespace finback {

at::Tensor rope_ref(const at::Tensor& x_THR, const at::Tensor& positions_T, const at::Tensor& cos_sin_SR, bool rotate_half, bool inverse) {
  const int64_t half = x_THR.size(-1) / 2;
  at::Tensor table_TR = cos_sin_SR.index_select(0, positions_T);
  if (x_THR.dim() == 3) table_TR = table_TR.unsqueeze(1);
  const at::Tensor cos = table_TR.slice(-1, 0, half), sin = inverse ? -table_TR.slice(-1, half) : table_TR.slice(-1, half);
  at::Tensor a, b;
  if (rotate_half) {
    a = x_THR.slice(-1, 0, half), b = x_THR.slice(-1, half);
    return at::cat({a * cos - b * sin, a * sin + b * cos}, -1);
  }
  a = x_THR.slice(-1, 0, 2 * half, 2), b = x_THR.slice(-1, 1, 2 * half, 2);
  return at::stack({a * cos - b * sin, a * sin + b * cos}, -1).flatten(-2);
}

}  // namespace finback
