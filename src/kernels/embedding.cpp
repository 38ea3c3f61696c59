#include "kernels/embedding.h"

#include <ATen/ATen.h>

#include "base/error.h"

namespace finback {

at::Tensor embedding(const at::Tensor& tokens_T, const at::Tensor& weight_WD) { return embedding_ref(tokens_T, weight_WD); }

void embedding_backward_(const at::Tensor& dweight_WD, const at::Tensor& tokens_T, const at::Tensor& dy_TD) {
  dweight_WD.index_add_(0, tokens_T, dy_TD);
}

}  // namespace finback
