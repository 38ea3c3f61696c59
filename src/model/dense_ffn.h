// The SwiGLU feed-forward network: down(silu(gate x) * up x). A dense layer's FFN, the shared experts of a MoE layer, which the V2 family stores
// as one MLP of n_shared_experts * F channels, and its routed experts side by side (one matrix per expert, permuted rows). Knows its weights.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "model/forward_pass.h"
#include "model/sub_layer.h"
#include "model/weights.h"

namespace finback {

class DenseFfn {
 public:
  // `prefix` = "model.layers.0.mlp." or "model.layers.3.mlp.shared_experts.".
  DenseFfn(const Parameters& parameters, const std::string& prefix);
  DenseFfn(Linear gate_up, Linear down);
  void set_numerics(const Numerics& numerics);
  const Numerics& numerics() const { return numerics_; }
  // All rows of the pass.
  LayerResult forward(const LinearInput& x, const std::shared_ptr<ForwardPass>& pass, bool keep) const;
  // Several in turn, their products in common loops: see the next.
  struct Call {
    const DenseFfn* ffn;
    LinearInput x;
    const RowGroups* groups;
  };
  static std::vector<LayerResult> forward_all(std::span<const Call> calls, const std::shared_ptr<ForwardPass>& pass, bool keep);
  // y in the order of `groups` (permuted rows); its backward takes dy and returns dx in that order. `groups` outlives the backward pass.
  LayerResult forward(const LinearInput& x, const RowGroups& groups, const std::shared_ptr<ForwardPass>& pass, bool keep) const;
  void prepare(bool backward) { gate_up_.prepare(backward), down_.prepare(backward); }
  void for_each_projection(const ProjectionVisitor& visit) { visit(gate_up_.weight), visit(down_.weight); }

 private:
  LayerBackward backward_of(const Call& call, RowGroups own, const at::Tensor& gate_up_S2F, const LinearInput& a,
                            const std::shared_ptr<ForwardPass>& pass) const;
  Linear gate_up_, down_;
  Numerics numerics_;
};

}  // namespace finback
