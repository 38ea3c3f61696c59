#include "model/token_dispatch.h"

#include <ATen/ATen.h>

namespace finback {

DispatchedTokens dispatch(const LinearInput& n, const at::Tensor& topk_ids_TK, int64_t n_experts, const RowGroups& tokens) {
  DispatchedTokens d{make_permutation(topk_ids_TK, n_experts), n, {}};
  d.groups.offsets = d.permutation.expert_offsets_E1;
  if (n.rows.precision == Precision::kF32) {
    d.x.rows.values_TK = permute(n.rows.values_TK, d.permutation.sorted_token_ids_S);
    return d;
  }
  // A row is quantized once; each of its K experts reads it where it lies.
  d.groups.source_rows_S = d.permutation.sorted_token_ids_S;
  // An expert's tiles begin anew where its rows pass from one packed row to the next: see Note [Tiles along tokens].
  d.groups.tile_boundaries = expert_cuts(d.permutation, tokens.tile_boundaries).flatten();
  if (tokens.sampled_E.defined()) {
    d.groups.sampled_E = expert_cuts(d.permutation, tokens.sampled_E).flatten() - d.groups.offsets.slice(0, 0, n_experts);
  }
  return d;
}

at::Tensor dispatch_backward(const at::Tensor& dx_SD, const DispatchedTokens& dispatched, at::TensorList plus) {
  return permute_backward(dx_SD, dispatched.permutation.permuted_rows_TK, plus);
}

at::Tensor combine(const at::Tensor& y_SD, const at::Tensor& weights_TK, const DispatchedTokens& dispatched, at::TensorList plus) {
  return unpermute(y_SD, weights_TK, dispatched.permutation.permuted_rows_TK, plus);
}

UnpermuteGrad combine_backward(const at::Tensor& dy_TD, const at::Tensor& y_SD, const at::Tensor& weights_TK,
                               const DispatchedTokens& dispatched) {
  return unpermute_backward(dy_TD, y_SD, weights_TK, dispatched.permutation.permuted_rows_TK);
}

}  // namespace finback
