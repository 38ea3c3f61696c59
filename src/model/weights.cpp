#include "model/weights.h"

#include <ATen/ATen.h>

#include <utility>

#include "base/error.h"
#include "model/precision_audit.h"

namespace finback {
namespace {

// [2F, D] over two [F, D] views that lie one after the other.
at::Tensor joined(const at::Tensor& first, const at::Tensor& second) {
  if (!first.defined()) return {};
  FB_ASSERT(second.storage_offset() == first.storage_offset() + first.numel() && second.sizes() == first.sizes(),
            "gate_proj and up_proj are neighbours in checkpoint order");
  return first.as_strided({2 * first.size(0), first.size(1)}, {first.size(1), 1}, first.storage_offset());
}

AuditedLinear audited_linear(const Linear& linear) { return {linear.name(), linear.values(), linear.precision(), linear.wgrad}; }

}  // namespace

void LayerMatrix::prepare(bool backward) {
  if (stored != nullptr) return;
  FB_ASSERT(!packed.weight().is_meta(), "{} is neither held nor stored: a model that serves runs the absorbed algebra alone", name);
  packed.prepare({.forward = !transposed || backward, .backward = transposed || backward});
}

Linear::Linear(const Parameters& parameters, const std::string& linear_name)
    : Linear(linear_name, parameters.value(linear_name + ".weight"), parameters.grad(linear_name + ".weight"), parameters) {}

Linear::Linear(std::string linear_name, at::Tensor values, at::Tensor gradients, const Parameters& parameters)
    : weight{std::move(linear_name), PackedWeight(std::move(values), parameters.stamp()), /*transposed=*/false, {}},
      grad(std::move(gradients)) {}

void Linear::set_numerics(const Numerics& numerics) {
  weight.packed.set_precision(numerics.precision);
  wgrad = numerics.wgrad;
}

at::Tensor Linear::forward(const LinearInput& x, const RowGroups& groups, PrecisionAudit* audit) const {
  if (precision() == Precision::kF32) {
    const LinearUse use = {this, &x, &groups};
    return forward_all({&use, 1}, audit).front();
  }
  const at::Tensor y_SN = quantized_linear(x.rows, weight.packed, groups);
  if (audit != nullptr) audit->forward(audited_linear(*this), x, groups, y_SN);
  return y_SN;
}

std::vector<at::Tensor> forward_all(std::span<const LinearUse> uses, PrecisionAudit* audit) {
  std::vector<at::Tensor> outputs;
  std::vector<LinearCall> calls;
  for (const auto& [linear, x, groups] : uses) {
    if (linear->precision() != Precision::kF32) {
      outputs.push_back(linear->forward(*x, *groups, audit));
      continue;
    }
    FB_ASSERT(!groups->source_rows_S.defined(), "f32 rows are gathered before");
    calls.push_back({&x->rows.values_TK, linear->weight.operand(), linear->values().dim() == 2 ? nullptr : &groups->offsets});
  }
  FB_ASSERT(calls.empty() || outputs.empty(), "one sub-layer, one precision");
  return calls.empty() ? outputs : linear_all(calls);
}

at::Tensor Linear::backward(const at::Tensor& dy_SN, const LinearInput& x, const RowGroups& groups, PrecisionAudit* audit) const {
  if (precision() == Precision::kF32) {
    if (values().dim() == 2) return backward(dy_SN, x.rows.values_TK);
    grouped_linear_wgrad_(grad, dy_SN, x.rows.values_TK, groups.offsets);
    return grouped_linear_dgrad(dy_SN, weight.operand(), groups.offsets);
  }
  quantized_linear_wgrad_(grad, dy_SN, x.rows, wgrad, groups);
  const at::Tensor dx_SK = quantized_linear_dgrad(dy_SN, weight.packed, groups);
  if (audit != nullptr) audit->backward(audited_linear(*this), dy_SN, x, groups, dx_SK);
  return dx_SK;
}

Linear fused_gate_up(const Parameters& parameters, const std::string& prefix) {
  const std::string gate = prefix + "gate_proj.weight", up = prefix + "up_proj.weight";
  return Linear(prefix + "gate_up_proj", joined(parameters.value(gate), parameters.value(up)),
                joined(parameters.grad(gate), parameters.grad(up)), parameters);
}

Norm::Norm(const Parameters& parameters, const std::string& name, double norm_eps)
    : weight_D(parameters.value(name + ".weight")), grad_D(parameters.grad(name + ".weight")), eps(norm_eps) {}

}  // namespace finback
