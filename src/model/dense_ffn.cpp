#include "model/dense_ffn.h"

#include <ATen/ATen.h>

#include "kernels/swiglu.h"

namespace finback {

DenseFfn::DenseFfn(const Parameters& parameters, const std::string& prefix)
    : gate_up_(fused_gate_up(parameters, prefix)), down_(parameters, prefix + "down_proj") {}

LayerResult DenseFfn::forward(const at::Tensor& n_TD, bool keep) const {
  const at::Tensor gate_up_T2F = gate_up_.forward(n_TD), a_TF = swiglu(gate_up_T2F);
  LayerResult result{down_.forward(a_TF), {}};
  if (keep) {
    result.backward = [this, n_TD, gate_up_T2F, a_TF](const at::Tensor& dy_TD) {
      return gate_up_.backward(swiglu_backward(down_.backward(dy_TD, a_TF), gate_up_T2F), n_TD);
    };
  }
  return result;
}

}  // namespace finback
