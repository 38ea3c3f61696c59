#include "kernels/adamw.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "machine/bench.h"

namespace finback {

void bench_adamw(Bench& bench) {
  const int64_t numel = 11'000'000;
  const at::Tensor values = at::randn({numel}), grads = at::randn({numel}), m = at::zeros({numel}), v = at::zeros({numel});
  const std::vector<FlatRange> decayed = {{0, numel / 2}};
  std::vector<FlatRange> pieces;
  for (int64_t begin = 0; begin < numel; begin += 1 << 16) pieces.push_back({begin, std::min<int64_t>(numel, begin + (1 << 16))});
  const double bytes = double(numel) * sizeof(float);
  bench.row(
      "adamw_ 11 M", 0, 7 * bytes, [&] { adamw_(values, grads, m, v, decayed, {}); },
      [&] { adamw_ref_(values, grads, m, v, decayed, {}); });
  bench.row(
      "sum_of_squares 11 M", 0, bytes, [&] { sum_of_squares(grads, pieces); }, [&] { grads.to(at::kDouble).square().sum(); });
  bench.row("first_nonfinite 11 M", 0, bytes, [&] { first_nonfinite(grads); }, {});
}

}  // namespace finback
