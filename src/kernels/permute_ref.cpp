#include <ATen/ATen.h>

#include "kernels/permute.h"

namespace finback {

at::Tensor permute_ref(const at::Tensor& x_TD, const at::Tensor& sorted_token_ids_S) { return x_TD.index_select(0, sorted_token_ids_S); }

at::Tensor unpermute_ref(const at::Tensor& y_SD, const at::Tensor& weights_TK, const at::Tensor& permuted_rows_TK, at::TensorList plus) {
  const int64_t tokens = permuted_rows_TK.size(0), k = permuted_rows_TK.size(1);
  const at::Tensor chosen_TKD = y_SD.index_select(0, permuted_rows_TK.reshape({-1})).view({tokens, k, y_SD.size(1)});
  at::Tensor y_TD = (chosen_TKD * weights_TK.unsqueeze(-1)).sum(1);
  for (const at::Tensor& more_TD : plus) y_TD = y_TD + more_TD;
  return y_TD;
}

}  // namespace finback
