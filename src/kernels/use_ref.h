// When an op runs its definition instead of its CPU code. Knows the tensor's device and the kernel variant, no op.
#pragma once
#include <ATen/core/Tensor.h>

#include "gemm/variant.h"

namespace finback {

// True when an op must run its _ref: variant ref, or a tensor that is not on the CPU (an op without a CUDA variant works there, slowly).
inline bool use_ref(const at::Tensor& tensor) { return kernel_variant() == Variant::kRef || !tensor.device().is_cpu(); }

}  // namespace finback
