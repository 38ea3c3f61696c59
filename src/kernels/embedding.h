// Token embedding and its gradient: a gather, and a scatter-add in token order without atomics.
#pragma once
#include <ATen/core/Tensor.h>

namespace finback {

// tokens_T i64 in [0, W). Throws Error naming the first id out of range.
at::Tensor embedding(const at::Tensor& tokens_T, const at::Tensor& weight_WD);
void embedding_backward_(const at::Tensor& dweight_WD, const at::Tensor& tokens_T, const at::Tensor& dy_TD);
at::Tensor embedding_ref(const at::Tensor& tokens_T, const at::Tensor& weight_WD);

}  // namespace finback
