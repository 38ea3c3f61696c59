#include "kernels/skeleton.h"

#include <ATen/ATen.h>

#include "machine/bench.h"

namespace finback {

void bench_skeleton(Bench& bench) {
  const at::Tensor x_TD = at::randn({2048, 256}), y_TD = at::randn({2048, 256});
  const double bytes = 3.0 * 2048 * 256 * sizeof(float);  // x and y read, y written
  bench.row(
      "axpby_ 2048x256", 0, bytes, [&] { axpby_(y_TD, 0.5, x_TD, 0.5); }, [&] { y_TD.copy_(axpby_ref(y_TD, 0.5, x_TD, 0.5)); });
}

}  // namespace finback
