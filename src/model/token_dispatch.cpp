#include "model/token_dispatch.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

namespace finback {
namespace {

// Where an expert's slots pass from one packed row to the next, and where an expert begins: see Note [Tiles along tokens].
std::vector<int64_t> slot_cuts(const TokenPermutation& permutation, const std::vector<int64_t>& row_starts) {
  std::vector<int64_t> cuts = {0};
  const at::Tensor tokens_S = permutation.sorted_token_ids_S.to(at::kCPU);
  const int64_t* token = tokens_S.const_data_ptr<int64_t>();
  for (size_t e = 0; e + 1 < permutation.expert_offsets.size(); ++e) {
    const int64_t *first = token + permutation.expert_offsets[e], *end = token + permutation.expert_offsets[e + 1];
    for (const int64_t row : row_starts) {
      const int64_t slot = std::lower_bound(first, end, row) - token;
      if (slot > cuts.back()) cuts.push_back(slot);
    }
    if (permutation.expert_offsets[e + 1] > cuts.back()) cuts.push_back(permutation.expert_offsets[e + 1]);
  }
  return cuts;
}

// Rows of the sampled tokens, by expert.
std::vector<int64_t> sampled_slots(const TokenPermutation& permutation, int64_t tokens) {
  std::vector<int64_t> counts;
  const at::Tensor tokens_S = permutation.sorted_token_ids_S.to(at::kCPU);
  const int64_t* token = tokens_S.const_data_ptr<int64_t>();
  for (size_t e = 0; e + 1 < permutation.expert_offsets.size(); ++e) {
    const int64_t* first = token + permutation.expert_offsets[e];
    counts.push_back(std::lower_bound(first, token + permutation.expert_offsets[e + 1], tokens) - first);
  }
  return counts;
}

}  // namespace

DispatchedTokens dispatch(const LinearInput& n, const at::Tensor& topk_ids_TK, int64_t n_experts, const RowGroups& tokens) {
  DispatchedTokens d{make_permutation(topk_ids_TK, n_experts), n, {}};
  d.groups.offsets = d.permutation.expert_offsets;
  if (n.rows.precision == Precision::kF32) {
    d.x.rows.values_TK = permute(n.rows.values_TK, d.permutation.sorted_token_ids_S);
    return d;
  }
  // A row is rounded once, and read by its slots where it lies.
  d.groups.source_rows_S = d.permutation.sorted_token_ids_S;
  d.groups.tile_boundaries = slot_cuts(d.permutation, tokens.tile_boundaries);
  if (!tokens.sampled.empty()) d.groups.sampled = sampled_slots(d.permutation, tokens.sampled[0]);
  return d;
}

at::Tensor dispatch_backward(const at::Tensor& dx_SD, const DispatchedTokens& dispatched, at::TensorList plus) {
  return permute_backward(dx_SD, dispatched.permutation.permuted_rows_TK, plus);
}

at::Tensor combine(const at::Tensor& y_SD, const at::Tensor& weights_TK, const DispatchedTokens& dispatched, at::TensorList plus) {
  return unpermute(y_SD, weights_TK, dispatched.permutation.permuted_rows_TK, plus);
}

UnpermuteGrad combine_backward(const at::Tensor& dy_TD, const at::Tensor& y_SD, const at::Tensor& weights_TK,
                               const DispatchedTokens& dispatched) {
  return unpermute_backward(dy_TD, y_SD, weights_TK, dispatched.permutation.permuted_rows_TK);
}

}  // namespace finback
