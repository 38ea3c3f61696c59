#include "kernels/swiglu.h"

#include <ATen/ATen.h>

#include "kernels/ref_grad.h"
#include "machine/bench.h"

namespace finback {

void bench_swiglu(Bench& bench) {
  const int64_t rows = 8192, f = 80;
  const at::Tensor gate_up = at::randn({rows, 2 * f}), dy = at::randn({rows, f});
  const double floats = double(rows * f) * sizeof(float);
  bench.row(
      "swiglu 8192x80", 0, 3 * floats, [&] { swiglu(gate_up); }, [&] { swiglu_ref(gate_up); });
  bench.row(
      "swiglu_backward 8192x80", 0, 5 * floats, [&] { swiglu_backward(dy, gate_up); },
      [&] { gradients_of([](const std::vector<at::Tensor>& in) { return std::vector<at::Tensor>{swiglu_ref(in[0])}; }, {gate_up}, {dy}); });
}

}  // namespace finback
