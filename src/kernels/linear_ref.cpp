#include <ATen/ATen.h>

#include "kernels/host_values.h"
#include "kernels/linear.h"

namespace finback {

at::Tensor linear_ref(const at::Tensor& x_TK, const at::Tensor& w_NK) { return at::matmul(x_TK, w_NK.t()); }

at::Tensor grouped_linear_ref(const at::Tensor& x_SK, const at::Tensor& w_ENK, const at::Tensor& offsets_E1) {
  const std::vector<int64_t> offsets = fetched_values(offsets_E1);
  std::vector<at::Tensor> groups;
  for (size_t e = 0; e + 1 < offsets.size(); ++e) {
    groups.push_back(at::matmul(x_SK.slice(0, offsets[e], offsets[e + 1]), w_ENK[int64_t(e)].t()));
  }
  return at::cat(groups, 0);
}

at::Tensor heads_linear_ref(const at::Tensor& x_THK, const at::Tensor& w_HNK) { return at::einsum("thk,hnk->thn", {x_THK, w_HNK}); }

}  // namespace finback
