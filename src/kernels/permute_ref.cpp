#include <ATen/ATen.h>

#include "kernels/permute.h"

namespace finback {

TokenPermutation make_permutation_ref(const at::Tensor& topk_ids_TK, int64_t n_experts) {
  const auto [sorted_ids_S, order_S] = at::sort(topk_ids_TK.reshape({-1}), /*stable=*/true, 0, /*descending=*/false);
  const at::TensorOptions options = topk_ids_TK.options();
  const at::Tensor rows_S = at::arange(order_S.size(0), options);
  return {order_S.div(topk_ids_TK.size(1), "floor"), at::empty_like(order_S).scatter_(0, order_S, rows_S).view(topk_ids_TK.sizes()),
          at::searchsorted(sorted_ids_S, at::arange(n_experts + 1, options))};
}

// Permuted rows ascend by expert, then by token: one search for (expert,
// start).
at::Tensor expert_cuts_ref(const TokenPermutation& permutation, const at::Tensor& starts_A) {
  const at::Tensor &offsets_E1 = permutation.expert_offsets_E1, &tokens_S = permutation.sorted_token_ids_S;
  const int64_t experts = offsets_E1.size(0) - 1,
                above = permutation.permuted_rows_TK.size(0) + 1;  // than every token and start
  const at::Tensor rows_S = at::arange(tokens_S.size(0), tokens_S.options());
  const at::Tensor expert_S = at::searchsorted(offsets_E1.slice(0, 1), rows_S, /*out_int32=*/false, /*right=*/true);
  const at::Tensor wanted_EA = at::arange(experts, starts_A.options()).mul(above).unsqueeze(1) + starts_A;
  return at::searchsorted(expert_S * above + tokens_S, wanted_EA);
}

at::Tensor permute_ref(const at::Tensor& x_TD, const at::Tensor& sorted_token_ids_S) { return x_TD.index_select(0, sorted_token_ids_S); }

at::Tensor unpermute_ref(const at::Tensor& y_SD, const at::Tensor& weights_TK, const at::Tensor& permuted_rows_TK, at::TensorList plus) {
  const int64_t tokens = permuted_rows_TK.size(0), k = permuted_rows_TK.size(1);
  const at::Tensor chosen_TKD = y_SD.index_select(0, permuted_rows_TK.reshape({-1})).view({tokens, k, y_SD.size(1)});
  at::Tensor y_TD = (chosen_TKD * weights_TK.unsqueeze(-1)).sum(1);
  for (const at::Tensor& more_TD : plus) y_TD = y_TD + more_TD;
  return y_TD;
}

}  // namespace finback
