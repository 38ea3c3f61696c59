// The SwiGLU feed-forward network: down(silu(gate x) * up x). A dense layer's FFN, and the shared experts of a MoE layer, which the V2
// family stores as one MLP of n_shared_experts * F channels. Knows its weights.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>

#include "model/sub_layer.h"
#include "model/weights.h"

namespace finback {

class DenseFfn {
 public:
  // `prefix` = "model.layers.0.mlp." or "model.layers.3.mlp.shared_experts.".
  DenseFfn(const Parameters& parameters, const std::string& prefix);
  LayerResult forward(const at::Tensor& n_TD, bool keep) const;

 private:
  Linear gate_up_, down_;
};

}  // namespace finback
