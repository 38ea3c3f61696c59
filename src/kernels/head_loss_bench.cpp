#include "kernels/head_loss.h"

#include <ATen/ATen.h>

#include "machine/bench.h"

namespace finback {

void bench_head_loss(Bench& bench) {
  const int64_t tokens = 2048, d = 256, vocab = 8192;
  uint64_t stamp = 1;
  const at::Tensor h_TD = at::randn({tokens, d}), head_WD = at::randn({vocab, d}) * 0.1, d_head_WD = at::zeros({vocab, d});
  const at::Tensor targets_T = at::randint(vocab, {tokens}, at::kLong);
  const PackedWeight head = prepared(head_WD, &stamp);
  const double flops = 2.0 * double(tokens * d * vocab);
  bench.row(
      "head_loss 2048x256x8192", flops, 0, [&] { head_loss(h_TD, head, targets_T); }, [&] { head_loss_ref(h_TD, head_WD, targets_T); });
  bench.row(
      "head_loss 2048x256x8192 with gradients", 3 * flops, 0, [&] { head_loss(h_TD, head, targets_T, {d_head_WD}); },
      [&] { head_loss_ref(h_TD, head_WD, targets_T, {d_head_WD}); });
}

}  // namespace finback
