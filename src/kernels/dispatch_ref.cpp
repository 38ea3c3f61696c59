#include <ATen/ATen.h>

#include "kernels/dispatch.h"

namespace finback {

at::Tensor gather_rows_ref(const at::Tensor& x_TD, const at::Tensor& slot_token_S) { return x_TD.index_select(0, slot_token_S); }

at::Tensor combine_ref(const at::Tensor& y_SD, const at::Tensor& weights_TK, const at::Tensor& token_slots_TK, at::TensorList plus) {
  const int64_t tokens = token_slots_TK.size(0), k = token_slots_TK.size(1);
  const at::Tensor chosen_TKD = y_SD.index_select(0, token_slots_TK.reshape({-1})).view({tokens, k, y_SD.size(1)});
  at::Tensor y_TD = (chosen_TKD * weights_TK.unsqueeze(-1)).sum(1);
  for (const at::Tensor& more_TD : plus) y_TD = y_TD + more_TD;
  return y_TD;
}

}  // namespace finback
