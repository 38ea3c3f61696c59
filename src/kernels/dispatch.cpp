#include "kernels/dispatch.h"

#include "kernels/ref_grad.h"

namespace finback {

Dispatch make_dispatch(const at::Tensor& topk_ids_TK, int64_t n_experts) {
  // A counting sort on the host: slots of an expert are in token order.
  const at::Tensor ids_TK = topk_ids_TK.to(at::kCPU).contiguous();
  const int64_t tokens = ids_TK.size(0), k = ids_TK.size(1);
  const int64_t* ids = ids_TK.const_data_ptr<int64_t>();
  Dispatch dispatch;
  dispatch.offsets.assign(size_t(n_experts) + 1, 0);
  for (int64_t i = 0; i < tokens * k; ++i) ++dispatch.offsets[size_t(ids[i]) + 1];
  for (int64_t e = 0; e < n_experts; ++e) dispatch.offsets[size_t(e) + 1] += dispatch.offsets[size_t(e)];
  std::vector<int64_t> next(dispatch.offsets.begin(), dispatch.offsets.end() - 1);
  at::Tensor slot_token_S = at::empty({tokens * k}, at::kLong), token_slots_TK = at::empty({tokens, k}, at::kLong);
  int64_t* slot_token = slot_token_S.mutable_data_ptr<int64_t>();
  int64_t* token_slots = token_slots_TK.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < tokens * k; ++i) {
    const int64_t slot = next[size_t(ids[i])]++;
    slot_token[slot] = i / k;
    token_slots[i] = slot;
  }
  dispatch.slot_token_S = slot_token_S.to(topk_ids_TK.device());
  dispatch.token_slots_TK = token_slots_TK.to(topk_ids_TK.device());
  return dispatch;
}

at::Tensor gather_rows(const at::Tensor& x_TD, const at::Tensor& slot_token_S) { return gather_rows_ref(x_TD, slot_token_S); }

at::Tensor gather_rows_backward(const at::Tensor& dx_SD, const at::Tensor& token_slots_TK) {
  return combine_ref(dx_SD, at::ones(token_slots_TK.sizes(), dx_SD.options()), token_slots_TK);
}

at::Tensor combine(const at::Tensor& y_SD, const at::Tensor& weights_TK, const at::Tensor& token_slots_TK) {
  return combine_ref(y_SD, weights_TK, token_slots_TK);
}

CombineGrad combine_backward(const at::Tensor& dy_TD, const at::Tensor& y_SD, const at::Tensor& weights_TK, const at::Tensor& token_slots_TK) {
  const auto grads = gradients_of(
      [&](const std::vector<at::Tensor>& in) { return std::vector<at::Tensor>{combine_ref(in[0], in[1], token_slots_TK)}; }, {y_SD, weights_TK},
      {dy_TD});
  return {grads[0], grads[1]};
}

}  // namespace finback
