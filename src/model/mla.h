// Multi-head latent attention, V3 section 2.1.1, in both algebras from one definition: expanded (keys and values of every head are computed;
// "naive" in DeepSeek's code) and absorbed (queries are brought into the latent space, where keys and values are the cached latent itself).
// See Note [Absorbed MLA] in mla.cpp. Knows its weights; the residual stream and the norm before it belong to block.cpp.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <optional>
#include <string>

#include "model/forward_pass.h"
#include "model/sub_layer.h"
#include "model/weights.h"

namespace finback {

class Mla {
 public:
  // `prefix` = "model.layers.3.self_attn."; `layer` is its index in the cache.
  Mla(const ModelConfig& config, const Parameters& parameters, const std::string& prefix, int64_t layer);
  void set_numerics(const Numerics& numerics);
  // u_TD from the normed residual stream. keep: the result carries its backward pass.
  LayerResult forward(const at::Tensor& n_TD, const std::shared_ptr<ForwardPass>& pass, bool keep) const;
  void for_each_projection(const ProjectionVisitor& visit);
  // What a pass in this algebra multiplies by; see LayerMatrix.
  void prepare(MlaAlgebra algebra, bool backward);

 private:
  struct Saved;
  at::Tensor queries(const LinearInput& cq, const ForwardPass& pass, PrecisionAudit* audit) const;
  at::Tensor keys_values(const LinearInput& c, const ForwardPass& pass, PrecisionAudit* audit) const;
  void project(const at::Tensor& n_TD, const ForwardPass& pass, Saved& saved) const;
  at::Tensor attend_expanded(const ForwardPass& pass, Saved& saved) const;
  at::Tensor attend_absorbed(ForwardPass& pass, Saved& saved) const;
  at::Tensor backward(const at::Tensor& du_TD, const Saved& saved, ForwardPass& pass) const;
  at::Tensor rotate_back_latents(const at::Tensor& dc_TC, const at::Tensor& dk_rope_TR, const Saved& saved, const ForwardPass& pass) const;

  int64_t layer_, heads_, nope_, rope_dim_, v_, c_;  // H, N, R, V, C
  double scale_;
  std::optional<Linear> q_a_;  // absent without q_lora_rank: then q_b_ is q_proj
  std::optional<Norm> q_norm_;
  Linear q_b_, kv_a_, kv_b_, o_;
  Numerics numerics_;
  Norm kv_norm_;
  LayerMatrix w_uk_HNC_, w_uv_HVC_;  // kv_b_proj's rows by head
  at::Tensor d_uk_HNC_, d_uv_HVC_;
};

}  // namespace finback
