// Linear layers and grouped linear layers (one weight an expert) over packed rows, in f32 and over stored weights (weight_operand.h). Knows no experts
// beyond "group e owns rows offsets[e]..offsets[e+1]". bf16 and fp8 operands are multiplied by quantized_linear.h.
#pragma once
#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

#include "kernels/weight_operand.h"

namespace finback {

// y_TN = x_TK W^T; x's rows may be strided (a column slice), y is new.
at::Tensor linear(const at::Tensor& x_TK, const WeightOperand& w);
// dx_TK = dy_TN W.
at::Tensor linear_dgrad(const at::Tensor& dy_TN, const WeightOperand& w);
// dw_NK += dy_TN^T x_TK, tokens in order: micro-batches that accumulate give the bits of one big batch.
void linear_wgrad_(const at::Tensor& dw_NK, const at::Tensor& dy_TN, const at::Tensor& x_TK);

// Rows [offsets[e], offsets[e+1]) use group e; a group may be empty. offsets_E1: i64, from 0 to the rows of x, on x's device. The CPU reads it in
// place; the reference fetches it once a call, the one place where a MoE layer on a device waits for its numbers.
at::Tensor grouped_linear(const at::Tensor& x_SK, const WeightOperand& w, const at::Tensor& offsets_E1);
at::Tensor grouped_linear_dgrad(const at::Tensor& dy_SN, const WeightOperand& w, const at::Tensor& offsets_E1);
void grouped_linear_wgrad_(const at::Tensor& dw_ENK, const at::Tensor& dy_SN, const at::Tensor& x_SK, const at::Tensor& offsets_E1);

// Layers that wait for nothing of each other, in one pool loop: y of each, the bits of linear (offsets_E1 null) and grouped_linear.
struct LinearCall {
  const at::Tensor* x;
  WeightOperand w;
  const at::Tensor* offsets_E1 = nullptr;
};
std::vector<at::Tensor> linear_all(std::span<const LinearCall> calls);

// One small matrix a head, for the absorbed algebra: y_THN[:, h] = x_THK[:, h] W[h]^T, and its transpose x W[h].
// w is [H, N, K], a strided view of kv_b_proj. Gradients: dgrad is the other function, wgrad adds into dw_HNK.
at::Tensor heads_linear(const at::Tensor& x_THK, const WeightOperand& w);
at::Tensor heads_linear_t(const at::Tensor& x_THN, const WeightOperand& w);
void heads_linear_wgrad_(const at::Tensor& dw_HNK, const at::Tensor& dy_THN, const at::Tensor& x_THK);

// The references.
at::Tensor linear_ref(const at::Tensor& x_TK, const at::Tensor& w_NK);
at::Tensor grouped_linear_ref(const at::Tensor& x_SK, const at::Tensor& w_ENK, const at::Tensor& offsets_E1);
// Of heads_linear_t: the same with W transposed.
at::Tensor heads_linear_ref(const at::Tensor& x_THK, const at::Tensor& w_HNK);

}  // namespace finback
