// One transformer block: x += attention(norm(x)); x += ffn(norm(x)); one autograd node. The same class serves the main layers and the MTP modules.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <variant>

#include "model/dense_ffn.h"
#include "model/mla.h"
#include "model/moe.h"

namespace finback {

class Block {
 public:
  Block(const ModelConfig& config, const Parameters& parameters, int64_t layer);
  at::Tensor forward(const at::Tensor& x_TD, const std::shared_ptr<ForwardPass>& pass) const;
  void set_numerics(const Numerics& attention, const Numerics& ffn);
  void for_each_projection(const ProjectionVisitor& visit);
  void prepare(MlaAlgebra algebra, bool backward);

 private:
  LayerResult ffn(const at::Tensor& u_TD, const at::Tensor& n_TD, const std::shared_ptr<ForwardPass>& pass, bool keep) const;

  Norm input_norm_, ffn_norm_;
  Mla attention_;
  std::variant<DenseFfn, Moe> ffn_;
};

// "model.layers.3."
std::string layer_prefix(int64_t layer);

// y = norm(x) alone.
at::Tensor norm_only(const Norm& norm, const at::Tensor& x_TD);

}  // namespace finback
