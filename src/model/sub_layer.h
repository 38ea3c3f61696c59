// Where hand-written backward passes meet autograd: one autograd node a sub-layer (embedding, block, norm), on the residual stream only. A
// sub-layer's forward runs below autograd and hands back a closure that turns dy into dx (and adds weight gradients where they live); the
// closure is released as soon as it ran. Knows no layer.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

namespace finback {

// dx from dy; undefined when nothing flows to x.
using LayerBackward = std::function<at::Tensor(const at::Tensor& dy_TD)>;
struct LayerResult {
  at::Tensor y_TD;
  LayerBackward backward;  // empty when `keep` was false
};

// Runs forward(keep) and ties its result to x. keep: a backward pass will come, so the closure and what it needs must be kept. That is
// when GradMode is on and x requires a gradient.
at::Tensor sub_layer(const at::Tensor& x, const std::function<LayerResult(bool keep)>& forward);

// A fresh leaf to hang the first sub-layer on (the embedding, whose input has no gradient); undefined gradients end there.
at::Tensor autograd_root(bool keep, at::Device device);

// One backward pass from several outputs with their gradients.
void backward_from(const std::vector<at::Tensor>& outputs, const std::vector<at::Tensor>& doutputs);

}  // namespace finback
