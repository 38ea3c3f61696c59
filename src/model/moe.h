// DeepSeekMoE, V3 section 2.1.2: a gate that sends every token to K of E routed experts, and shared experts that see every token. No token
// is dropped. Covers the sigmoid gate with selection bias (V3) and the softmax gate (V2). Four steps with tensors between them, each with its
// backward: route (here), dispatch (token_dispatch.h), experts (here), combine (token_dispatch.h). Reports what it saw to the pass's RouterLog,
// and adds the sequence-wise balance loss's gradient (V3 eq. 17-20) in its backward pass. Knows its weights.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "kernels/router.h"
#include "model/dense_ffn.h"
#include "model/forward_pass.h"
#include "model/token_dispatch.h"

namespace finback {

// The gate's settings as the kernel takes them.
RouterOptions router_options(const ModelConfig& config);

class Moe {
 public:
  // `prefix` = "model.layers.3.mlp.".
  Moe(const ModelConfig& config, const Parameters& parameters, const std::string& prefix, int64_t layer);
  void set_numerics(const Numerics& numerics);
  // y = u + moe(n), V3 eq. 12; the backward pass is that of moe(n) alone. again() recomputes n_TD, the same bits: for the router's
  // gradient when bf16 or fp8 rows are kept instead of n_TD.
  LayerResult forward(const at::Tensor& n_TD, const at::Tensor& u_TD, const std::shared_ptr<ForwardPass>& pass, bool keep,
                      const std::function<at::Tensor()>& again) const;
  void for_each_projection(const ProjectionVisitor& visit);
  void prepare(bool backward);

 private:
  struct Saved;
  struct ExpertResults {
    LayerResult routed, shared;  // by permuted row; by token, empty without shared experts
  };
  Routing route_tokens(const at::Tensor& n_TD, const ForwardPass& pass) const;
  // Their products in common loops.
  ExpertResults run_experts(const DispatchedTokens& dispatched, const LinearInput& n, const std::shared_ptr<ForwardPass>& pass,
                            bool keep) const;
  void record(const Routing& routing, const ForwardPass& pass) const;
  at::Tensor backward(const at::Tensor& dy_TD, const Saved& saved, const ForwardPass& pass) const;
  at::Tensor route_tokens_backward(const at::Tensor& d_weights_TK, const Saved& saved, const ForwardPass& pass) const;

  int64_t layer_, experts_;
  RouterOptions options_;
  Linear gate_;
  at::Tensor bias_E_;  // e_score_correction_bias; undefined for gates without
  DenseFfn routed_;    // [E, 2F, D], [E, D, F]
  std::optional<DenseFfn> shared_;
};

}  // namespace finback
