// Rows to experts and back. S = T * K slots sorted by expert, within an expert by token, so every sum over an expert's tokens has one
// order. No token is dropped, no expert is padded.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace finback {

struct Dispatch {
  at::Tensor slot_token_S;       // i64: the token of each slot
  at::Tensor token_slots_TK;     // i64: where (token, k) went
  std::vector<int64_t> offsets;  // [E + 1]: expert e owns slots offsets[e]..offsets[e+1]
};
Dispatch make_dispatch(const at::Tensor& topk_ids_TK, int64_t n_experts);

at::Tensor gather_rows(const at::Tensor& x_TD, const at::Tensor& slot_token_S);
// dx_TD[t] = sum over k of dx_SD[token_slots[t][k]], k in order, then row t of each of `plus`, in order (contiguous [T, D], at most 2).
at::Tensor gather_rows_backward(const at::Tensor& dx_SD, const at::Tensor& token_slots_TK, at::TensorList plus = {});
// y_TD[t] = sum over k of weights[t][k] * y_SD[token_slots[t][k]], k in order, then `plus` likewise.
at::Tensor combine(const at::Tensor& y_SD, const at::Tensor& weights_TK, const at::Tensor& token_slots_TK, at::TensorList plus = {});
struct CombineGrad {
  at::Tensor dy_SD, d_weights_TK;
};
CombineGrad combine_backward(const at::Tensor& dy_TD, const at::Tensor& y_SD, const at::Tensor& weights_TK,
                             const at::Tensor& token_slots_TK);

at::Tensor gather_rows_ref(const at::Tensor& x_TD, const at::Tensor& slot_token_S);
at::Tensor combine_ref(const at::Tensor& y_SD, const at::Tensor& weights_TK, const at::Tensor& token_slots_TK, at::TensorList plus = {});

}  // namespace finback
