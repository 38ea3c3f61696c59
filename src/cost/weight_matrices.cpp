#include "cost/weight_matrices.h"

namespace finback {
namespace {

std::vector<WeightMatrix> ffn_matrices(const ModelShape& s, int64_t width, int64_t stored, int64_t used) {
  return {{(s.gated ? 2 : 1) * width, s.d_model, stored, used}, {s.d_model, width, stored, used}};
}

}  // namespace

WeightMatrix kv_b_proj_matrix(const ModelShape& s) { return {s.heads * (s.head_dim - s.rope_dim + s.value_dim), s.kv_rank}; }

std::vector<WeightMatrix> attention_matrices(const ModelShape& s) {
  const int64_t d = s.d_model, h = s.heads;
  if (!s.is_mla()) return {{h * s.head_dim + s.kv_heads * (s.head_dim + s.value_dim), d}, {d, h * s.value_dim}};
  std::vector<WeightMatrix> matrices;
  if (s.q_rank > 0) matrices.push_back({s.q_rank, d});
  matrices.push_back({h * s.head_dim, s.q_rank > 0 ? s.q_rank : d});
  matrices.push_back({s.kv_rank + s.rope_dim, d});
  matrices.push_back(kv_b_proj_matrix(s));
  matrices.push_back({d, h * s.value_dim});
  return matrices;
}

std::vector<WeightMatrix> absorbed_attention_matrices(const ModelShape& s) {
  std::vector<WeightMatrix> matrices = attention_matrices(s);
  if (!s.is_mla()) return matrices;
  matrices.erase(matrices.end() - 2);  // kv_b_proj
  matrices.push_back({s.kv_rank, s.head_dim - s.rope_dim, s.heads, s.heads});
  matrices.push_back({s.value_dim, s.kv_rank, s.heads, s.heads});
  return matrices;
}

std::vector<WeightMatrix> dense_ffn_matrices(const ModelShape& s) { return ffn_matrices(s, s.d_ffn, 1, 1); }

std::vector<WeightMatrix> routed_expert_matrices(const ModelShape& s) { return ffn_matrices(s, s.d_expert, s.experts, s.top_k); }

std::vector<WeightMatrix> shared_expert_matrices(const ModelShape& s) {
  if (s.shared_experts == 0) return {};
  return ffn_matrices(s, s.shared_experts * s.d_expert, 1, 1);
}

WeightMatrix router_matrix(const ModelShape& s) { return {s.experts, s.d_model}; }
WeightMatrix eh_proj_matrix(const ModelShape& s) { return {s.d_model, 2 * s.d_model}; }
WeightMatrix head_matrix(const ModelShape& s) { return {s.vocab, s.d_model}; }

int64_t stored_parameters_of(const std::vector<WeightMatrix>& matrices) {
  int64_t sum = 0;
  for (const WeightMatrix& w : matrices) sum += w.stored * w.n * w.k;
  return sum;
}

}  // namespace finback
