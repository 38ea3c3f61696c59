// Tokens to their experts and back, where one process holds all experts. The two steps of a MoE layer that expert parallelism replaces by exchanges
// between ranks: dispatch hands the experts their rows, combine brings the results back to the tokens. Knows no weights and no router.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

#include "kernels/permute.h"
#include "model/weights.h"

namespace finback {

// What the experts multiply: rows by expert, within an expert by token.
struct DispatchedTokens {
  TokenPermutation permutation;
  LinearInput x;     // f32: the permuted rows themselves; bf16 and fp8: the tokens' rows, read through groups.source_rows_S
  RowGroups groups;  // a group an expert
};
// `n`: the rows of all tokens; `tokens`: their packed rows (tile boundaries) and those that an audit looks at.
DispatchedTokens dispatch(const LinearInput& n, const at::Tensor& topk_ids_TK, int64_t n_experts, const RowGroups& tokens);
// dn_TD[t] = sum of dx_SD over t's permuted rows, k in order, then each of `plus` in order.
at::Tensor dispatch_backward(const at::Tensor& dx_SD, const DispatchedTokens& dispatched, at::TensorList plus = {});

// y_TD[t] = sum over k of weights[t][k] times y_SD of t's k-th permuted row, k in order, then each of `plus` in order (V3 eq. 12).
at::Tensor combine(const at::Tensor& y_SD, const at::Tensor& weights_TK, const DispatchedTokens& dispatched, at::TensorList plus = {});
// y_SD as combine had it: it makes the weights' gradient.
UnpermuteGrad combine_backward(const at::Tensor& dy_TD, const at::Tensor& y_SD, const at::Tensor& weights_TK,
                               const DispatchedTokens& dispatched);

}  // namespace finback
