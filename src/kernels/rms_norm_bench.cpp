#include "kernels/rms_norm.h"

#include <ATen/ATen.h>

#include "kernels/ref_grad.h"
#include "machine/bench.h"

namespace finback {

void bench_rms_norm(Bench& bench) {
  const int64_t tokens = 2048, d = 256;
  const at::Tensor x_TD = at::randn({tokens, d}), dy_TD = at::randn({tokens, d}), weight_D = at::randn({d}), dweight_D = at::zeros({d});
  const double floats = double(tokens * d) * sizeof(float);
  bench.row(
      "rms_norm 2048x256", 0, 2 * floats, [&] { rms_norm(x_TD, weight_D, 1e-6); }, [&] { rms_norm_ref(x_TD, weight_D, 1e-6); });
  const at::Tensor rstd_T = rms_norm(x_TD, weight_D, 1e-6).rstd_T;
  bench.row(
      "rms_norm_backward 2048x256", 0, 3 * floats, [&] { rms_norm_backward(dy_TD, x_TD, weight_D, rstd_T, dweight_D); },
      [&] {
        gradients_of([](const std::vector<at::Tensor>& in) { return std::vector<at::Tensor>{rms_norm_ref(in[0], in[1], 1e-6).y_TD}; },
                     {x_TD, weight_D}, {dy_TD});
      });
  // The residual stream: it grows at every call, so what it takes up is small.
  const at::Tensor stream_TD = x_TD.clone(), branch_TD = at::randn({tokens, d}).mul_(1e-6);
  bench.row(
      "add_rms_norm_ 2048x256", 0, 4 * floats, [&] { add_rms_norm_(stream_TD, branch_TD, weight_D, 1e-6); },
      [&] { rms_norm_ref(stream_TD.add_(branch_TD), weight_D, 1e-6); });
  bench.row(
      "rms_norm_backward and a residual 2048x256", 0, 4 * floats,
      [&] { rms_norm_backward(dy_TD, x_TD, weight_D, rstd_T, dweight_D, branch_TD); },
      [&] {
        gradients_of([](const std::vector<at::Tensor>& in) { return std::vector<at::Tensor>{rms_norm_ref(in[0], in[1], 1e-6).y_TD}; },
                     {x_TD, weight_D}, {dy_TD})[0]
            .add_(branch_TD);
      });
}

}  // namespace finback
