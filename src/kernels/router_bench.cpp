#include "kernels/router.h"

#include <ATen/ATen.h>

#include "machine/bench.h"

namespace finback {
namespace {

void bench_shape(Bench& bench, int64_t tokens, int64_t experts, const RouterOptions& options) {
  const at::Tensor logits_TE = at::randn({tokens, experts}), bias_E = at::randn({experts}) * 0.1;
  const at::Tensor d_weights_TK = at::randn({tokens, options.num_experts_per_tok}), d_scores_TE = at::zeros({tokens, experts});
  const double floats = double(tokens * experts) * sizeof(float);
  const std::string shape = fmt::format("{}x{} top {}", tokens, experts, options.num_experts_per_tok);
  bench.row(
      "route " + shape, 0, 2 * floats, [&] { route(logits_TE, bias_E, options); }, [&] { route_ref(logits_TE, bias_E, options); });
  const Routing routing = route(logits_TE, bias_E, options);
  bench.row("route_backward " + shape, 0, 3 * floats, [&] { route_backward(routing, d_weights_TK, d_scores_TE, options); }, {});
  const at::Tensor starts = at::tensor({int64_t(0), tokens / 2, tokens}, at::kLong);
  bench.row(
      "sequence_balance " + shape, 0, 3 * floats,
      [&] { sequence_balance(routing.scores_TE, routing.topk_ids_TK, starts, 1e-4, d_scores_TE); },
      [&] { sequence_balance_ref(routing.scores_TE, routing.topk_ids_TK, starts); });
}

}  // namespace

void bench_router(Bench& bench) {
  RouterOptions options;
  options.num_experts_per_tok = 4, options.n_group = 4, options.topk_group = 2;
  bench_shape(bench, 2048, 16, options);
  options.num_experts_per_tok = 8, options.n_group = 8, options.topk_group = 4;
  bench_shape(bench, 512, 256, options);
}

}  // namespace finback
