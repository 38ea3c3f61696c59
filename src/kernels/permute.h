// Token permutation of a MoE layer: rows to experts and back. S = T * K permuted rows, sorted by expert, within an expert by token, so every sum over an
// expert's tokens has one order. No token is dropped, no expert is padded.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace finback {

struct TokenPermutation {
  at::Tensor sorted_token_ids_S;  // the token of each permuted row
  at::Tensor permuted_rows_TK;    // where (token, k) went, the inverse
  at::Tensor expert_offsets_E1;   // expert e owns permuted rows expert_offsets[e]..expert_offsets[e+1]
};
// All i64, on the device of topk_ids_TK, whose elements are below n_experts.
TokenPermutation make_permutation(const at::Tensor& topk_ids_TK, int64_t n_experts);
// cuts_EA[e][r] = the first permuted row of expert e whose token is starts_A[r] or a later one; e's end when it has none.
at::Tensor expert_cuts(const TokenPermutation& permutation, const at::Tensor& starts_A);

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

TokenPermutation make_permutation_ref(const at::Tensor& topk_ids_TK, int64_t n_experts);
at::Tensor expert_cuts_ref(const TokenPermutation& permutation, const at::Tensor& starts_A);
at::Tensor permute_ref(const at::Tensor& x_TD, const at::Tensor& sorted_token_ids_S);
at::Tensor unpermute_ref(const at::Tensor& y_SD, const at::Tensor& weights_TK, const at::Tensor& permuted_rows_TK,
                         at::TensorList plus = {});

}  // namespace finback
