// Backward passes of references: the gradient of a reference is what autograd says it is. Used by <op>_ref.cpp files only; works inside
// another backward pass and on any device.
#pragma once
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <functional>
#include <vector>

namespace finback {

// d(sum over outputs of <output_i, doutput_i>) / d(inputs). `forward` maps leaves to outputs; an undefined doutput is left out; an input
// that does not matter gets zeros.
inline std::vector<at::Tensor> gradients_of(const std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>&)>& forward,
                                            const std::vector<at::Tensor>& inputs, const std::vector<at::Tensor>& doutputs) {
  const at::AutoGradMode enable(true);
  std::vector<at::Tensor> leaves;
  for (const at::Tensor& input : inputs) leaves.push_back(input.detach().clone().requires_grad_(true));
  const std::vector<at::Tensor> outputs = forward(leaves);
  at::Tensor total;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!doutputs[i].defined()) continue;
    const at::Tensor term = (outputs[i] * doutputs[i].detach()).sum();
    total = total.defined() ? total + term : term;
  }
  if (total.defined() && total.requires_grad()) total.backward();
  std::vector<at::Tensor> grads;
  for (const at::Tensor& leaf : leaves) grads.push_back(leaf.grad().defined() ? leaf.grad() : at::zeros_like(leaf));
  return grads;
}

}  // namespace finback
