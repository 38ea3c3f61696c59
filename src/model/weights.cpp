#include "model/weights.h"

#include <ATen/ATen.h>

#include "base/error.h"

namespace finback {
namespace {

// [2F, D] over two [F, D] views that lie one after the other.
at::Tensor joined(const at::Tensor& first, const at::Tensor& second) {
  if (!first.defined()) return {};
  FB_ASSERT(second.storage_offset() == first.storage_offset() + first.numel() && second.sizes() == first.sizes(),
            "gate_proj and up_proj are neighbours in checkpoint order");
  return first.as_strided({2 * first.size(0), first.size(1)}, {first.size(1), 1}, first.storage_offset());
}

}  // namespace

Linear::Linear(const Parameters& parameters, const std::string& name)
    : weight(parameters.value(name + ".weight"), parameters.stamp()), grad(parameters.grad(name + ".weight")) {}

Linear fused_gate_up(const Parameters& parameters, const std::string& prefix) {
  const std::string gate = prefix + "gate_proj.weight", up = prefix + "up_proj.weight";
  Linear fused;
  fused.weight = PackedWeight(joined(parameters.value(gate), parameters.value(up)), parameters.stamp());
  fused.grad = joined(parameters.grad(gate), parameters.grad(up));
  return fused;
}

Norm::Norm(const Parameters& parameters, const std::string& name, double norm_eps)
    : weight_D(parameters.value(name + ".weight")), grad_D(parameters.grad(name + ".weight")), eps(norm_eps) {}

}  // namespace finback
