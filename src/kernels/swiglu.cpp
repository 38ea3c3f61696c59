#include "kernels/swiglu.h"

#include "kernels/ref_grad.h"

namespace finback {

at::Tensor swiglu(const at::Tensor& gate_up_T2F) { return swiglu_ref(gate_up_T2F); }

at::Tensor swiglu_backward(const at::Tensor& dy_TF, const at::Tensor& gate_up_T2F) {
  return gradients_of([](const std::vector<at::Tensor>& in) { return std::vector<at::Tensor>{swiglu_ref(in[0])}; }, {gate_up_T2F}, {dy_TF})[0];
}

}  // namespace finback
