#include "kernels/linear.h"

#include <ATen/ATen.h>

#include "machine/bench.h"

namespace finback {
namespace {

// The three multiplications of one expert matrix of every group, tokens spread evenly.
void bench_grouped(Bench& bench, int64_t experts, int64_t rows, int64_t n, int64_t k) {
  const uint64_t stamp = 1;
  const at::Tensor x_SK = at::randn({rows, k}), dy_SN = at::randn({rows, n}), w_ENK = at::randn({experts, n, k}),
                   dw_ENK = at::zeros({experts, n, k});
  const at::Tensor offsets = (at::arange(experts + 1, at::kLong) * rows).div(experts, "floor");
  const PackedWeight w = prepared(w_ENK, &stamp);
  const double flops = 2.0 * double(rows * n * k);
  const std::string shape = fmt::format("{} x {}x{}x{}", experts, rows / experts, n, k);
  bench.row(
      "grouped_linear " + shape, flops, 0, [&] { grouped_linear(x_SK, w, offsets); }, [&] { grouped_linear_ref(x_SK, w_ENK, offsets); });
  bench.row(
      "grouped_linear_dgrad " + shape, flops, 0, [&] { grouped_linear_dgrad(dy_SN, w, offsets); },
      [&] { grouped_linear_ref(dy_SN, w_ENK.transpose(1, 2), offsets); });
  bench.row("grouped_linear_wgrad_ " + shape, flops, 0, [&] { grouped_linear_wgrad_(dw_ENK, dy_SN, x_SK, offsets); }, {});
}

void bench_plain(Bench& bench, int64_t tokens, int64_t n, int64_t k) {
  const uint64_t stamp = 1;
  const at::Tensor x_TK = at::randn({tokens, k}), dy_TN = at::randn({tokens, n}), w_NK = at::randn({n, k}), dw_NK = at::zeros({n, k});
  const PackedWeight w = prepared(w_NK, &stamp);
  const double flops = 2.0 * double(tokens * n * k);
  const std::string shape = fmt::format("{}x{}x{}", tokens, n, k);
  bench.row(
      "linear " + shape, flops, 0, [&] { linear(x_TK, w); }, [&] { linear_ref(x_TK, w_NK); });
  bench.row(
      "linear_dgrad " + shape, flops, 0, [&] { linear_dgrad(dy_TN, w); }, [&] { at::matmul(dy_TN, w_NK); });
  bench.row(
      "linear_wgrad_ " + shape, flops, 0, [&] { linear_wgrad_(dw_NK, dy_TN, x_TK); }, [&] { dw_NK.add_(at::matmul(dy_TN.t(), x_TK)); });
}

// W_UK and W_UV of the absorbed algebra: one n x k matrix a head.
void bench_heads(Bench& bench, int64_t tokens, int64_t heads, int64_t n, int64_t k) {
  const uint64_t stamp = 1;
  const at::Tensor x_THK = at::randn({tokens, heads, k}), dy_THN = at::randn({tokens, heads, n}), w_HNK = at::randn({heads, n, k}),
                   dw_HNK = at::zeros({heads, n, k});
  const PackedWeight w = prepared(w_HNK, &stamp);
  const double flops = 2.0 * double(tokens * heads * n * k);
  const std::string shape = fmt::format("{} x {}x{}x{}", heads, tokens, n, k);
  bench.row(
      "heads_linear " + shape, flops, 0, [&] { heads_linear(x_THK, w); }, [&] { heads_linear_ref(x_THK, w_HNK); });
  bench.row(
      "heads_linear_t " + shape, flops, 0, [&] { heads_linear_t(dy_THN, w); }, [&] { heads_linear_ref(dy_THN, w_HNK.transpose(1, 2)); });
  bench.row(
      "heads_linear_wgrad_ " + shape, flops, 0, [&] { heads_linear_wgrad_(dw_HNK, dy_THN, x_THK); },
      [&] {
        dw_HNK.add_(at::einsum("thn,thk->hnk", {dy_THN, x_THK}));
      });
}

}  // namespace

void bench_linear(Bench& bench) {
  bench_plain(bench, 2048, 384, 128);
  bench_plain(bench, 2048, 16, 256);
  bench_grouped(bench, 16, 8192, 160, 256);
  bench_grouped(bench, 16, 8192, 256, 80);
  bench_heads(bench, 2048, 8, 32, 64);  // tiny
  bench_heads(bench, 1, 16, 64, 256);   // a decoded token of wide
}

}  // namespace finback
