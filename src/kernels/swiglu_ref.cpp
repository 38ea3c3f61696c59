#include <ATen/ATen.h>

#include "kernels/swiglu.h"

namespace finback {

at::Tensor swiglu_ref(const at::Tensor& gate_up_T2F) {
  const int64_t f = gate_up_T2F.size(-1) / 2;
  return at::silu(gate_up_T2F.slice(-1, 0, f)) * gate_up_T2F.slice(-1, f);
}

}  // namespace finback
