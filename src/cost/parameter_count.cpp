#include "cost/parameter_count.h"

#include "base/error.h"
#include "cost/weight_matrices.h"

namespace finback {
namespace {

int64_t size_of(const WeightMatrix& w) { return w.n * w.k; }

void add_attention(LayerParameters& p, const ModelShape& s, int64_t layers) {
  p.attention += layers * attention_parameters(s);
  if (s.is_mla()) p.latent_norms += layers * (s.q_rank + s.kv_rank);
}

void add_dense_ffn(LayerParameters& p, const ModelShape& s, int64_t layers) { p.dense_ffn += layers * dense_ffn_parameters(s); }

void add_moe(LayerParameters& p, const ModelShape& s, int64_t layers) {
  const int64_t expert = expert_parameters(s);
  p.routed_experts += layers * s.experts * expert;
  p.active_routed += layers * s.top_k * expert;
  p.shared_experts += layers * s.shared_experts * expert;
  p.router += layers * size_of(router_matrix(s));
  if (s.expert_bias) p.expert_bias += layers * s.experts;
}

// One more layer each; the norms are two of the block, enorm, hnorm and shared_head.norm.
LayerParameters mtp_parameters(const ModelShape& s) {
  LayerParameters p;
  add_attention(p, s, s.mtp);
  s.is_moe() ? add_moe(p, s, s.mtp) : add_dense_ffn(p, s, s.mtp);
  p.eh_proj = s.mtp * size_of(eh_proj_matrix(s));
  p.norms = s.mtp * 5 * s.d_model;
  return p;
}

}  // namespace

int64_t attention_parameters(const ModelShape& s) { return stored_parameters_of(attention_matrices(s)); }
int64_t dense_ffn_parameters(const ModelShape& s) { return stored_parameters_of(dense_ffn_matrices(s)); }
int64_t expert_parameters(const ModelShape& s) { return (s.gated ? 3 : 2) * s.d_model * s.d_expert; }

ParameterCount count_parameters(const ModelShape& s) {
  ParameterCount count;
  count.embedding = count.head = size_of(head_matrix(s));
  count.tied = s.tied;
  add_attention(count.layers, s, s.attention_layers);
  add_dense_ffn(count.layers, s, s.plain_ffn_layers());
  if (s.is_moe()) add_moe(count.layers, s, s.moe_layers());
  count.layers.mixer = s.mixer_layers * s.mixer_matmul;
  count.layers.norms = (s.attention_layers + s.ffn_layers + 1) * s.d_model;
  count.mtp_modules = s.mtp;
  count.mtp = mtp_parameters(s);
  return count;
}

// In double, which does not overflow.
void check_countable(const ModelShape& s) {
  const double d = double(s.d_model), heads = double(s.heads), wide = d * double(s.mtp > 0 ? 2 : 0) * d;
  const double attention = d * (heads * double(s.head_dim + s.value_dim) + double(s.kv_heads) * double(s.head_dim + s.value_dim)) +
                           double(s.q_rank + s.kv_rank) * (d + heads * double(s.head_dim + s.value_dim));
  const double experts = double(s.experts + s.shared_experts) * d * (3 * double(s.d_expert) + 1);
  const double layer = attention + experts + 3 * d * double(s.d_ffn) + wide + double(s.mixer_matmul);
  const double total = double(s.layers + s.mtp) * layer + 2 * double(s.vocab) * d;
  FB_CHECK(total < kMostParameters, "{}: expected fewer than {:.0e} parameters, got about {:.1e}", s.name.substr(0, 40), kMostParameters,
           total);
}

}  // namespace finback
