#include "kernels/permute.h"

#include <ATen/ATen.h>

#include "machine/bench.h"

namespace finback {

void bench_permute(Bench& bench) {
  const int64_t tokens = 2048, experts = 16, k = 4, d = 256;
  const at::Tensor ids_TK = std::get<1>(at::randn({tokens, experts}).topk(k)), weights_TK = at::rand({tokens, k});
  const at::Tensor x_TD = at::randn({tokens, d}), y_SD = at::randn({tokens * k, d});
  const double row_bytes = double(tokens * d) * sizeof(float);
  bench.row(
      "make_permutation 2048 tokens, 4 of 16", 0, 24.0 * double(tokens * k), [&] { make_permutation(ids_TK, experts); },
      [&] { make_permutation_ref(ids_TK, experts); });
  const TokenPermutation permutation = make_permutation(ids_TK, experts);
  const at::Tensor starts_A = at::arange(0, tokens + 1, 256, at::kLong);
  bench.row(
      "expert_cuts 8 rows of 256 tokens, 16 experts", 0, 0, [&] { expert_cuts(permutation, starts_A); },
      [&] { expert_cuts_ref(permutation, starts_A); });
  bench.row(
      "permute 8192x256", 0, (1 + k) * row_bytes, [&] { permute(x_TD, permutation.sorted_token_ids_S); },
      [&] { permute_ref(x_TD, permutation.sorted_token_ids_S); });
  bench.row("permute_backward 8192x256", 0, (1 + k) * row_bytes, [&] { permute_backward(y_SD, permutation.permuted_rows_TK); }, {});
  bench.row(
      "unpermute 8192x256", 0, (1 + k) * row_bytes, [&] { unpermute(y_SD, weights_TK, permutation.permuted_rows_TK); },
      [&] { unpermute_ref(y_SD, weights_TK, permutation.permuted_rows_TK); });
  // The residual stream and the shared expert's output ride along.
  const at::Tensor more_TD = at::randn({tokens, d}), ones_TK = at::ones({tokens, k});
  bench.row(
      "unpermute and 2 more 8192x256", 0, (3 + k) * row_bytes,
      [&] {
        unpermute(y_SD, weights_TK, permutation.permuted_rows_TK, {x_TD, more_TD});
      },
      [&] {
        unpermute_ref(y_SD, weights_TK, permutation.permuted_rows_TK, {x_TD, more_TD});
      });
  bench.row(
      "permute_backward and 2 more 8192x256", 0, (3 + k) * row_bytes,
      [&] {
        permute_backward(y_SD, permutation.permuted_rows_TK, {x_TD, more_TD});
      },
      [&] {
        unpermute_ref(y_SD, ones_TK, permutation.permuted_rows_TK, {x_TD, more_TD});
      });
  bench.row("unpermute_backward 8192x256", 0, (1 + 2 * k) * row_bytes,
            [&] { unpermute_backward(x_TD, y_SD, weights_TK, permutation.permuted_rows_TK); }, {});
}

}  // namespace finback
