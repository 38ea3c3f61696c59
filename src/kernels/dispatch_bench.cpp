#include "kernels/dispatch.h"

#include <ATen/ATen.h>

#include "machine/bench.h"

namespace finback {

void bench_dispatch(Bench& bench) {
  const int64_t tokens = 2048, experts = 16, k = 4, d = 256;
  const at::Tensor ids_TK = std::get<1>(at::randn({tokens, experts}).topk(k)), weights_TK = at::rand({tokens, k});
  const at::Tensor x_TD = at::randn({tokens, d}), y_SD = at::randn({tokens * k, d});
  const double row_bytes = double(tokens * d) * sizeof(float);
  bench.row("make_dispatch 2048 tokens, 4 of 16", 0, 24.0 * double(tokens * k), [&] { make_dispatch(ids_TK, experts); }, {});
  const Dispatch dispatch = make_dispatch(ids_TK, experts);
  bench.row(
      "gather_rows 8192x256", 0, (1 + k) * row_bytes, [&] { gather_rows(x_TD, dispatch.slot_token_S); },
      [&] { gather_rows_ref(x_TD, dispatch.slot_token_S); });
  bench.row("gather_rows_backward 8192x256", 0, (1 + k) * row_bytes, [&] { gather_rows_backward(y_SD, dispatch.token_slots_TK); }, {});
  bench.row(
      "combine 8192x256", 0, (1 + k) * row_bytes, [&] { combine(y_SD, weights_TK, dispatch.token_slots_TK); },
      [&] { combine_ref(y_SD, weights_TK, dispatch.token_slots_TK); });
  // The residual stream and the shared expert's output ride along.
  const at::Tensor more_TD = at::randn({tokens, d}), ones_TK = at::ones({tokens, k});
  bench.row(
      "combine and 2 more 8192x256", 0, (3 + k) * row_bytes,
      [&] {
        combine(y_SD, weights_TK, dispatch.token_slots_TK, {x_TD, more_TD});
      },
      [&] {
        combine_ref(y_SD, weights_TK, dispatch.token_slots_TK, {x_TD, more_TD});
      });
  bench.row(
      "gather_rows_backward and 2 more 8192x256", 0, (3 + k) * row_bytes,
      [&] {
        gather_rows_backward(y_SD, dispatch.token_slots_TK, {x_TD, more_TD});
      },
      [&] {
        combine_ref(y_SD, ones_TK, dispatch.token_slots_TK, {x_TD, more_TD});
      });
  bench.row("combine_backward 8192x256", 0, (1 + 2 * k) * row_bytes,
            [&] { combine_backward(x_TD, y_SD, weights_TK, dispatch.token_slots_TK); }, {});
}

}  // namespace finback
