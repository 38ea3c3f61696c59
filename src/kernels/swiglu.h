// SwiGLU: silu(gate) * up, row by row. gate_up_T2F holds the gate columns first, then the up columns.
#pragma once
#include <ATen/core/Tensor.h>

namespace finback {

at::Tensor swiglu(const at::Tensor& gate_up_T2F);
// Returns d_gate_up_T2F.
at::Tensor swiglu_backward(const at::Tensor& dy_TF, const at::Tensor& gate_up_T2F);
at::Tensor swiglu_ref(const at::Tensor& gate_up_T2F);

}  // namespace finback
