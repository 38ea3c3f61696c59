// Which code of an op runs on a tensor: its reference or its CPU code. The one place that decides; knows devices and the kernel variant, no op.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>

#include "gemm/variant.h"

namespace finback {

enum class Backend { kRef, kCpu };

// kRef under the variant ref, and on every device but the CPU: no op has a CUDA file yet, and its reference works there, slowly.
inline Backend backend_on(const at::Device& device) {
  return kernel_variant() == Variant::kRef || !device.is_cpu() ? Backend::kRef : Backend::kCpu;
}
inline Backend backend_of(const at::Tensor& tensor) { return backend_on(tensor.device()); }

// The label in run files of what runs on a device: no variant of the CPU where its code does not run.
inline std::string kernel_label_on(const at::Device& device) { return backend_on(device) == Backend::kRef ? "ref" : kernel_label(); }

}  // namespace finback
