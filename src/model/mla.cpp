#include "model/mla.h"

#include <ATen/ATen.h>

#include "base/error.h"
#include "kernels/mla_attention.h"
#include "kernels/rope.h"

// Note [Absorbed MLA]
// A score is q_nope . (W_UK c) + q_rope . k_rope = (W_UK^T q_nope) . c + q_rope . k_rope, and a head's output is W_UV (sum_j p_j c_j). So with
// q' = [W_UK^T q_nope; q_rope] every head attends to the same latent [c; k_rope] of C + R floats: that is what the cache holds, and no key
// or value of a head is ever made. Expanded attention costs 2 (N + R + V) flops a head and key, absorbed 2 (2C + R), so pretraining expands
// and generation absorbs. One definition: both read the same q, c and k_rope and the same kv_b_proj, and differ by rounding only.

namespace finback {
namespace {

// In place; inverse in the backward pass.
void rotate(const at::Tensor& x, const ForwardPass& pass, bool inverse) {
  rope_(x, pass.positions_T, pass.cos_sin_SR, pass.rotate_half, inverse);
}

}  // namespace

struct Mla::Saved {
  LinearInput n, cq, c;          // what the down- and up-projections multiply
  at::Tensor q_a_TQ, cq_rstd_T;  // with q_lora_rank
  at::Tensor q_THX;              // rope channels rotated
  at::Tensor kv_a_TY, c_rstd_T;  // kv_a: C raw latent channels, then k_rope rotated in place
  at::Tensor kv_THY, o_THV;      // expanded
  MlaAttention expanded;
  at::Tensor q_latent_THY, latents_TY;  // absorbed
  LatentAttention absorbed;
};

Mla::Mla(const ModelConfig& config, const Parameters& parameters, const std::string& prefix, int64_t layer)
    : layer_(layer),
      heads_(config.num_attention_heads),
      nope_(config.qk_nope_head_dim),
      rope_dim_(config.qk_rope_head_dim),
      v_(config.v_head_dim),
      c_(config.kv_lora_rank),
      scale_(config.softmax_scale()),
      q_b_(parameters, prefix + (config.q_lora_rank ? "q_b_proj" : "q_proj")),
      kv_a_(parameters, prefix + "kv_a_proj_with_mqa"),
      kv_b_(parameters, prefix + "kv_b_proj"),
      o_(parameters, prefix + "o_proj"),
      kv_norm_(parameters, prefix + "kv_a_layernorm", 1e-6) {  // latent norms: 1e-6 whatever rms_norm_eps says
  if (config.q_lora_rank) {
    q_a_.emplace(parameters, prefix + "q_a_proj");
    q_norm_.emplace(parameters, prefix + "q_a_layernorm", 1e-6);
  }
  // kv_b_proj's rows: a head's N key rows, then its V value rows.
  const auto by_head = [&](const at::Tensor& w) { return w.view({heads_, nope_ + v_, c_}); };
  const at::Tensor& w = kv_b_.values();
  w_uk_HNC_ = {prefix + "w_uk", PackedWeight(by_head(w).slice(1, 0, nope_), parameters.stamp()), /*transposed=*/true, {}};
  w_uv_HVC_ = {prefix + "w_uv", PackedWeight(by_head(w).slice(1, nope_), parameters.stamp()), /*transposed=*/false, {}};
  if (kv_b_.grad.defined()) d_uk_HNC_ = by_head(kv_b_.grad).slice(1, 0, nope_), d_uv_HVC_ = by_head(kv_b_.grad).slice(1, nope_);
}

void Mla::set_numerics(const Numerics& numerics) {
  numerics_ = numerics;
  if (q_a_) q_a_->set_numerics(numerics);
  for (Linear* linear : {&q_b_, &kv_a_, &kv_b_, &o_}) linear->set_numerics(numerics);
}

void Mla::for_each_projection(const ProjectionVisitor& visit) {
  if (q_a_) visit(q_a_->weight);
  for (Linear* linear : {&q_b_, &kv_a_, &kv_b_, &o_}) visit(linear->weight);
  visit(w_uk_HNC_), visit(w_uv_HVC_);
}

void Mla::prepare(MlaAlgebra algebra, bool backward) {
  if (q_a_) q_a_->prepare(backward);
  for (Linear* linear : {&q_b_, &kv_a_, &o_}) linear->prepare(backward);
  if (algebra == MlaAlgebra::kExpanded) return kv_b_.prepare(backward);
  w_uk_HNC_.prepare(backward);
  w_uv_HVC_.prepare(backward);
}

LayerResult Mla::forward(const at::Tensor& n_TD, const std::shared_ptr<ForwardPass>& pass, bool keep) const {
  auto saved = std::make_shared<Saved>();
  project(n_TD, *pass, *saved);
  const at::Tensor o_THV = pass->algebra == MlaAlgebra::kExpanded ? attend_expanded(*pass, *saved) : attend_absorbed(*pass, *saved);
  const LinearInput o = linear_input(o_THV.reshape({n_TD.size(0), heads_ * v_}), numerics_, pass->audit != nullptr);
  LayerResult result{o_.forward(o, pass->row_groups, pass->audit), {}};  // V3 eq. 11
  if (keep) {
    saved->o_THV = o_THV;
    // In fp8 and bf16 the up-projections are recomputed from their quantized inputs, bit for bit (V3 section 3.2.3).
    if (numerics_.precision != Precision::kF32 && saved->kv_THY.defined()) saved->q_THX.reset(), saved->kv_THY.reset();
    result.backward = [this, saved, pass](const at::Tensor& du_TD) { return backward(du_TD, *saved, *pass); };
  }
  return result;
}

at::Tensor Mla::queries(const LinearInput& cq, const ForwardPass& pass, PrecisionAudit* audit) const {
  at::Tensor q_THX = q_b_.forward(cq, pass.row_groups, audit).view({cq.rows.count(), heads_, nope_ + rope_dim_});  // V3 eq. 7, 9
  rotate(q_THX.slice(2, nope_), pass, false);                                                                      // V3 eq. 8
  return q_THX;
}

at::Tensor Mla::keys_values(const LinearInput& c, const ForwardPass& pass, PrecisionAudit* audit) const {
  return kv_b_.forward(c, pass.row_groups, audit).view({c.rows.count(), heads_, nope_ + v_});  // V3 eq. 2, 5
}

// Queries, the latent and the shared rope key. Differs from V3 eq. 1-8: both latents pass an RMSNorm (V3 section 4.2; not the rope key).
void Mla::project(const at::Tensor& n_TD, const ForwardPass& pass, Saved& s) const {
  const bool audited = pass.audit != nullptr;
  s.n = linear_input(n_TD, numerics_, audited);
  std::vector<LinearUse> down = {{&kv_a_, &s.n, &pass.row_groups}};
  if (q_a_) down.push_back({&*q_a_, &s.n, &pass.row_groups});
  const std::vector<at::Tensor> latents = forward_all(down, pass.audit);  // V3 eq. 1, 6
  s.kv_a_TY = latents.front();
  if (q_a_) {
    s.q_a_TQ = latents.back();
    const RmsNorm normed = q_norm_->forward(s.q_a_TQ);
    s.cq = linear_input(normed.y_TD, numerics_, audited), s.cq_rstd_T = normed.rstd_T;
  } else {
    s.cq = s.n;
  }
  s.q_THX = queries(s.cq, pass, pass.audit);
  const RmsNorm normed = kv_norm_.forward(s.kv_a_TY.slice(1, 0, c_));
  s.c_rstd_T = normed.rstd_T;
  if (pass.algebra == MlaAlgebra::kExpanded) {
    s.c = linear_input(normed.y_TD, numerics_, audited);
  } else {
    // f32: the absorbed W_UK and W_UV belong to the attention core (differs from V3, whose GEMMs are FP8).
    s.c.rows.values_TK = normed.y_TD;
  }
  rotate(s.kv_a_TY.slice(1, c_), pass, false);  // V3 eq. 3
}

at::Tensor Mla::attend_expanded(const ForwardPass& pass, Saved& s) const {
  s.kv_THY = keys_values(s.c, pass, pass.audit);
  s.expanded = mla_attention({s.q_THX, s.kv_THY, s.kv_a_TY.slice(1, c_), pass.starts_B1, scale_});  // V3 eq. 4, 10
  return s.expanded.o_THV;
}

at::Tensor Mla::attend_absorbed(ForwardPass& pass, Saved& s) const {
  s.q_latent_THY = at::cat({heads_linear_t(s.q_THX.slice(2, 0, nope_), w_uk_HNC_.operand()), s.q_THX.slice(2, nope_)}, 2);
  s.latents_TY = at::cat({s.c.rows.values_TK, s.kv_a_TY.slice(1, c_)}, 1);
  pass.keys.self_TY = s.latents_TY;
  if (pass.cache != nullptr) {
    pass.cache->write(layer_, pass.slot_mapping_T, s.latents_TY);
    pass.keys.pages_XPY = pass.cache->pages_XLPY.select(1, layer_);
  }
  s.absorbed = latent_attention(s.q_latent_THY, pass.keys, c_, scale_);  // V3 eq. 10, see Note [Absorbed MLA]
  return heads_linear(s.absorbed.o_THC, w_uv_HVC_.operand());
}

at::Tensor Mla::backward(const at::Tensor& du_TD, const Saved& s, ForwardPass& pass) const {
  const int64_t tokens = du_TD.size(0);
  // Attention keeps its f32 output, so the projection's input is rounded from it again.
  const LinearInput o = linear_input(s.o_THV.reshape({tokens, heads_ * v_}), numerics_, pass.audit != nullptr);
  const at::Tensor do_THV = o_.backward(du_TD, o, pass.row_groups, pass.audit).view({tokens, heads_, v_});
  at::Tensor dq_THX, dc_TC, dk_rope_TR;
  if (pass.algebra == MlaAlgebra::kExpanded) {
    const at::Tensor q_THX = s.q_THX.defined() ? s.q_THX : queries(s.cq, pass, nullptr),
                     kv_THY = s.kv_THY.defined() ? s.kv_THY : keys_values(s.c, pass, nullptr);
    const MlaAttentionGrad d = mla_attention_backward(do_THV, {q_THX, kv_THY, s.kv_a_TY.slice(1, c_), pass.starts_B1, scale_}, s.expanded);
    dq_THX = d.dq_THX, dk_rope_TR = d.dk_rope_TR;
    dc_TC = kv_b_.backward(d.dkv_THY.reshape({tokens, heads_ * (nope_ + v_)}), s.c, pass.row_groups, pass.audit);
  } else {
    heads_linear_wgrad_(d_uv_HVC_, do_THV, s.absorbed.o_THC);
    pass.keys.self_TY = s.latents_TY;
    const LatentAttentionGrad d =
        latent_attention_backward(heads_linear_t(do_THV, w_uv_HVC_.operand()), s.q_latent_THY, pass.keys, c_, s.absorbed, scale_);
    const at::Tensor dq_latent_THC = d.dq_THY.slice(2, 0, c_);
    heads_linear_wgrad_(d_uk_HNC_, s.q_THX.slice(2, 0, nope_), dq_latent_THC);
    dq_THX = at::cat({heads_linear(dq_latent_THC, w_uk_HNC_.operand()), d.dq_THY.slice(2, c_)}, 2);
    dc_TC = d.dself_TY.slice(1, 0, c_), dk_rope_TR = d.dself_TY.slice(1, c_);
  }
  rotate(dq_THX.slice(2, nope_), pass, true);
  const at::Tensor dq_TX = dq_THX.reshape({tokens, heads_ * (nope_ + rope_dim_)});
  at::Tensor dn_TD = q_b_.backward(dq_TX, s.cq, pass.row_groups, pass.audit);
  if (q_a_) dn_TD = q_a_->backward(q_norm_->backward(dn_TD, s.q_a_TQ, s.cq_rstd_T), s.n, pass.row_groups, pass.audit);
  return dn_TD.add_(kv_a_.backward(rotate_back_latents(dc_TC, dk_rope_TR, s, pass), s.n, pass.row_groups, pass.audit));
}

// d(kv_a output): through the latent's norm, and through the rotation of the rope key.
at::Tensor Mla::rotate_back_latents(const at::Tensor& dc_TC, const at::Tensor& dk_rope_TR, const Saved& s, const ForwardPass& pass) const {
  at::Tensor d_TY = at::cat({kv_norm_.backward(dc_TC, s.kv_a_TY.slice(1, 0, c_), s.c_rstd_T), dk_rope_TR}, 1);
  rotate(d_TY.slice(1, c_), pass, true);
  return d_TY;
}

}  // namespace finback
