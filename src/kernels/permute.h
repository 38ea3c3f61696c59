// Token permutation of a MoE layer: rows to experts and back. S = T * K permuted rows, sorted by expert, within an expert by token, so every sum over an
// expert's tokens has one order. No token is dropped, no expert is padded.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace finback {

struct TokenPermutation {
  at::Tensor sorted_token_ids_S;        // i64: the token of each permuted row
  at::Tensor permuted_rows_TK;          // i64: where (token, k) went, the inverse
  std::vector<int64_t> expert_offsets;  // [E + 1]: expert e owns permuted rows expert_offsets[e]..expert_offsets[e+1]
};
TokenPermutation make_permutation(const at::Tensor& topk_ids_TK, int64_t n_experts);

// y_SD[s] = x_TD[sorted_token_ids[s]]; any list of rows will do.
at::Tensor permute(const at::Tensor& x_TD, const at::Tensor& sorted_token_ids_S);
// dx_TD[t] = sum over k of dx_SD[permuted_rows[t][k]], k in order, then row t of each of `plus`, in order (contiguous [T, D], at most 2).
at::Tensor permute_backward(const at::Tensor& dx_SD, const at::Tensor& permuted_rows_TK, at::TensorList plus = {});
// y_TD[t] = sum over k of weights[t][k] * y_SD[permuted_rows[t][k]], k in order, then `plus` likewise.
at::Tensor unpermute(const at::Tensor& y_SD, const at::Tensor& weights_TK, const at::Tensor& permuted_rows_TK, at::TensorList plus = {});
struct UnpermuteGrad {
  at::Tensor dy_SD, d_weights_TK;
};
UnpermuteGrad unpermute_backward(const at::Tensor& dy_TD, const at::Tensor& y_SD, const at::Tensor& weights_TK,
                                 const at::Tensor& permuted_rows_TK);

at::Tensor permute_ref(const at::Tensor& x_TD, const at::Tensor& sorted_token_ids_S);
at::Tensor unpermute_ref(const at::Tensor& y_SD, const at::Tensor& weights_TK, const at::Tensor& permuted_rows_TK,
                         at::TensorList plus = {});

}  // namespace finback
