#include "kernels/rope.h"

#include <ATen/ATen.h>

#include "machine/bench.h"

namespace finback {

void bench_rope(Bench& bench) {
  const int64_t tokens = 2048, heads = 8, n = 32, r = 16;
  const at::Tensor q_THX = at::randn({tokens, heads, n + r}), positions_T = at::arange(tokens), cos_sin_SR = at::rand({tokens, r});
  const at::Tensor q_rope_THR = q_THX.slice(2, n);
  const double bytes = 2.0 * double(tokens * heads * r) * sizeof(float);
  for (const bool rotate_half : {false, true}) {
    bench.row(
        fmt::format("rope_ 2048x8x16 {}", rotate_half ? "rotate_half" : "interleaved"), 0, bytes,
        [&] { rope_(q_rope_THR, positions_T, cos_sin_SR, rotate_half, false); },
        [&] { q_rope_THR.copy_(rope_ref(q_rope_THR, positions_T, cos_sin_SR, rotate_half, false)); });
  }
}

}  // namespace finback
