#include "kernels/permute.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/pool.h"
#include "kernels/backend.h"
#include "kernels/host_values.h"
#include "kernels/permute_cpu.h"
#include "kernels/ref_grad.h"
#include "kernels/rows.h"

namespace finback {
namespace {

constexpr int64_t kPermuteTokens = 64;
constexpr size_t kMostPlus = 2;

// y_TD[t] = sum over k of weights[t][k] * rows[permuted_rows[t][k]], then plus; weights may be undefined.
at::Tensor weighted_sums(const at::Tensor& rows_SD, const at::Tensor& weights_TK, const at::Tensor& permuted_rows_TK, at::TensorList plus) {
  const Rows rows = rows_of(rows_SD);
  const int64_t tokens = permuted_rows_TK.size(0), k = permuted_rows_TK.size(1), d = rows.columns;
  FB_ASSERT(permuted_rows_TK.is_contiguous() && (!weights_TK.defined() || weights_TK.is_contiguous()),
            "permuted rows and weights are contiguous");
  at::Tensor y_TD = at::empty({tokens, d}, rows_SD.options());
  float* y = y_TD.mutable_data_ptr<float>();
  const int64_t* permuted_rows = permuted_rows_TK.const_data_ptr<int64_t>();
  const float* weights = weights_TK.defined() ? weights_TK.const_data_ptr<float>() : nullptr;
  std::array<const float*, kMostPlus> starts;
  FB_ASSERT(plus.size() <= starts.size(), "at most {} tensors to add, got {}", kMostPlus, plus.size());
  for (size_t i = 0; i < plus.size(); ++i) {
    FB_ASSERT(plus[i].is_contiguous() && plus[i].sizes() == y_TD.sizes(), "contiguous [T, D]");
    starts[i] = plus[i].const_data_ptr<float>();
  }
  parallel_ranges(tokens, kPermuteTokens, [&](int64_t begin, int64_t end) {
    std::array<const float*, kMostPlus> more;
    for (int64_t t = begin; t < end; ++t) {
      for (size_t i = 0; i < plus.size(); ++i) more[i] = starts[i] + t * d;
      permute_rows().unpermute(k, d, rows.data, rows.stride, permuted_rows + t * k, weights == nullptr ? nullptr : weights + t * k,
                               {more.data(), plus.size()}, y + t * d);
    }
  });
  return y_TD;
}

}  // namespace

// A counting sort: rows of an expert are in token order.
TokenPermutation make_permutation(const at::Tensor& topk_ids_TK, int64_t n_experts) {
  if (backend_of(topk_ids_TK) == Backend::kRef) return make_permutation_ref(topk_ids_TK, n_experts);
  const at::Tensor ids_TK = topk_ids_TK.contiguous();
  const int64_t tokens = ids_TK.size(0), k = ids_TK.size(1), *ids = ids_TK.const_data_ptr<int64_t>();
  const at::TensorOptions options = ids_TK.options();
  TokenPermutation permutation{at::empty({tokens * k}, options), at::empty({tokens, k}, options), at::zeros({n_experts + 1}, options)};
  int64_t* offsets = permutation.expert_offsets_E1.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < tokens * k; ++i) {
    FB_ASSERT(ids[i] >= 0 && ids[i] < n_experts, "the router chose an expert that exists");
    ++offsets[ids[i] + 1];
  }
  for (int64_t e = 0; e < n_experts; ++e) offsets[e + 1] += offsets[e];
  std::vector<int64_t> next(offsets, offsets + n_experts);
  int64_t* sorted_token_ids = permutation.sorted_token_ids_S.mutable_data_ptr<int64_t>();
  int64_t* permuted_rows = permutation.permuted_rows_TK.mutable_data_ptr<int64_t>();
  for (int64_t t = 0, i = 0; t < tokens; ++t) {
    for (const int64_t end = i + k; i < end; ++i) {
      const int64_t row = next[size_t(ids[i])]++;
      sorted_token_ids[row] = t;
      permuted_rows[i] = row;
    }
  }
  return permutation;
}

at::Tensor expert_cuts(const TokenPermutation& permutation, const at::Tensor& starts_A) {
  if (backend_of(starts_A) == Backend::kRef) return expert_cuts_ref(permutation, starts_A);
  const std::span<const int64_t> tokens = values_in_place(permutation.sorted_token_ids_S),
                                 offsets = values_in_place(permutation.expert_offsets_E1), starts = values_in_place(starts_A);
  const int64_t experts = int64_t(offsets.size()) - 1;
  at::Tensor cuts_EA = at::empty({experts, starts_A.size(0)}, starts_A.options());
  int64_t* cut = cuts_EA.mutable_data_ptr<int64_t>();
  for (size_t e = 0; e < size_t(experts); ++e) {
    const auto first = tokens.begin() + offsets[e], end = tokens.begin() + offsets[e + 1];
    for (const int64_t start : starts) *cut++ = std::lower_bound(first, end, start) - tokens.begin();
  }
  return cuts_EA;
}

at::Tensor permute(const at::Tensor& x_TD, const at::Tensor& sorted_token_ids_S) {
  if (backend_of(x_TD) == Backend::kRef) return permute_ref(x_TD, sorted_token_ids_S);
  const Rows x = rows_of(x_TD);
  FB_ASSERT(sorted_token_ids_S.is_contiguous(), "token ids are contiguous");
  at::Tensor y_SD = at::empty({sorted_token_ids_S.size(0), x.columns}, x_TD.options());
  float* y = y_SD.mutable_data_ptr<float>();
  const int64_t* tokens = sorted_token_ids_S.const_data_ptr<int64_t>();
  parallel_ranges(sorted_token_ids_S.size(0), kPermuteTokens, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) std::memcpy(y + s * x.columns, x.at(tokens[s]), size_t(x.columns) * sizeof(float));
  });
  return y_SD;
}

at::Tensor permute_backward(const at::Tensor& dx_SD, const at::Tensor& permuted_rows_TK, at::TensorList plus) {
  if (backend_of(dx_SD) == Backend::kRef)
    return unpermute_ref(dx_SD, at::ones(permuted_rows_TK.sizes(), dx_SD.options()), permuted_rows_TK, plus);
  return weighted_sums(dx_SD, {}, permuted_rows_TK, plus);
}

at::Tensor unpermute(const at::Tensor& y_SD, const at::Tensor& weights_TK, const at::Tensor& permuted_rows_TK, at::TensorList plus) {
  if (backend_of(y_SD) == Backend::kRef) return unpermute_ref(y_SD, weights_TK, permuted_rows_TK, plus);
  return weighted_sums(y_SD, weights_TK, permuted_rows_TK, plus);
}

UnpermuteGrad unpermute_backward(const at::Tensor& dy_TD, const at::Tensor& y_SD, const at::Tensor& weights_TK,
                                 const at::Tensor& permuted_rows_TK) {
  if (backend_of(y_SD) == Backend::kRef) {
    const auto grads = gradients_of(
        [&](const std::vector<at::Tensor>& in) { return std::vector<at::Tensor>{unpermute_ref(in[0], in[1], permuted_rows_TK)}; },
        {y_SD, weights_TK}, {dy_TD});
    return {grads[0], grads[1]};
  }
  const Rows y = rows_of(y_SD), dy = rows_of(dy_TD);
  FB_ASSERT(permuted_rows_TK.is_contiguous() && weights_TK.is_contiguous(), "permuted rows and weights are contiguous");
  const int64_t k = permuted_rows_TK.size(1);
  UnpermuteGrad grad{at::empty({y.count, y.columns}, y_SD.options()), at::empty(weights_TK.sizes(), weights_TK.options())};
  float *dy_S = grad.dy_SD.mutable_data_ptr<float>(), *d_weights = grad.d_weights_TK.mutable_data_ptr<float>();
  const float* weights = weights_TK.const_data_ptr<float>();
  const int64_t* permuted_rows = permuted_rows_TK.const_data_ptr<int64_t>();
  parallel_ranges(dy.count, kPermuteTokens, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      permute_rows().unpermute_backward(k, y.columns, dy.at(t), y.data, y.stride, permuted_rows + t * k, weights + t * k, dy_S,
                                        d_weights + t * k);
    }
  });
  return grad;
}

}  // namespace finback
