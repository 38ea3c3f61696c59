#include "kernels/permute.h"

#include "kernels/op_check.h"
#include "kernels/ref_grad.h"

namespace finback {
namespace {

struct PermuteCase {
  const char* what;
  at::Tensor topk_ids_TK;
  int64_t experts, d;
};
std::vector<PermuteCase> permute_cases() {
  return {{"no tokens", at::empty({0, 2}, at::kLong), 3, 8},
          {"one token, one channel", at::zeros({1, 1}, at::kLong), 1, 1},
          {"spread", std::get<1>(normal({65, 16}, 1).topk(4)), 16, 17},
          {"an expert without tokens", at::tensor({0, 2, 2, 0, 0, 2}, at::kLong).view({3, 2}), 4, 64},
          {"all to one", at::full({67, 1}, 3, at::kLong), 5, 33}};
}

TEST(Permute, RowsAreSortedByExpertThenToken) {
  for (const PermuteCase& c : permute_cases()) {
    SCOPED_TRACE(c.what);
    // In words: expert by expert, the tokens in order, their choices in order.
    std::vector<int64_t> tokens, offsets = {0};
    const at::Tensor ids_TK = c.topk_ids_TK.contiguous();
    const int64_t t = ids_TK.size(0), k = ids_TK.size(1), *ids = ids_TK.const_data_ptr<int64_t>();
    at::Tensor rows_TK = at::empty({t, k}, at::kLong);
    for (int64_t e = 0; e < c.experts; ++e) {
      for (int64_t i = 0; i < t * k; ++i) {
        if (ids[i] != e) continue;
        rows_TK.mutable_data_ptr<int64_t>()[i] = int64_t(tokens.size());
        tokens.push_back(i / k);
      }
      offsets.push_back(int64_t(tokens.size()));
    }
    for_each_variant([&] {
      const TokenPermutation permutation = make_permutation(c.topk_ids_TK, c.experts);
      EXPECT_TRUE(at::equal(permutation.sorted_token_ids_S, at::tensor(tokens)));
      EXPECT_TRUE(at::equal(permutation.permuted_rows_TK, rows_TK));
      EXPECT_TRUE(at::equal(permutation.expert_offsets_E1, at::tensor(offsets)));
    });
    const TokenPermutation defined = make_permutation_ref(c.topk_ids_TK, c.experts);
    EXPECT_TRUE(at::equal(defined.sorted_token_ids_S, at::tensor(tokens)) && at::equal(defined.permuted_rows_TK, rows_TK) &&
                at::equal(defined.expert_offsets_E1, at::tensor(offsets)));
  }
}

TEST(Permute, ExpertsAreCutWhereTheirTokensPassAStart) {
  for (const PermuteCase& c : permute_cases()) {
    SCOPED_TRACE(c.what);
    const int64_t tokens = c.topk_ids_TK.size(0);
    const std::vector<int64_t> starts = {0, std::min<int64_t>(2, tokens), tokens / 2, tokens};
    const TokenPermutation permutation = make_permutation(c.topk_ids_TK, c.experts);
    std::vector<int64_t> cuts;
    for (int64_t e = 0; e < c.experts; ++e) {
      const int64_t* offsets = permutation.expert_offsets_E1.const_data_ptr<int64_t>() + e;
      const int64_t* row_tokens = permutation.sorted_token_ids_S.const_data_ptr<int64_t>();
      for (const int64_t start : starts) {
        cuts.push_back(offsets[0]);
        while (cuts.back() < offsets[1] && row_tokens[cuts.back()] < start) ++cuts.back();
      }
    }
    const at::Tensor expected = at::tensor(cuts).view({c.experts, 4});
    for_each_variant([&] { EXPECT_TRUE(at::equal(expert_cuts(permutation, at::tensor(starts)), expected)); });
    EXPECT_TRUE(at::equal(expert_cuts_ref(permutation, at::tensor(starts)), expected));
  }
}

TEST(Permute, PermuteAndUnpermuteAgreeWithTheirReferences) {
  for (const PermuteCase& c : permute_cases()) {
    SCOPED_TRACE(c.what);
    const TokenPermutation permutation = make_permutation(c.topk_ids_TK, c.experts);
    const int64_t tokens = c.topk_ids_TK.size(0), rows = c.topk_ids_TK.numel();
    check_op(
        {in_wider(normal({tokens, c.d}, 1))}, [&](const Tensors& in) { return Tensors{permute(in[0], permutation.sorted_token_ids_S)}; },
        [&](const Tensors& in) { return Tensors{permute_ref(in[0], permutation.sorted_token_ids_S)}; }, 1);
    check_op(
        {in_wider(normal({rows, c.d}, 2)), normal(c.topk_ids_TK.sizes(), 3)},
        [&](const Tensors& in) { return Tensors{unpermute(in[0], in[1], permutation.permuted_rows_TK)}; },
        [&](const Tensors& in) { return Tensors{unpermute_ref(in[0], in[1], permutation.permuted_rows_TK)}; }, c.topk_ids_TK.size(1));
  }
}

TEST(Permute, GradientsAreThoseOfTheReferences) {
  for (const PermuteCase& c : permute_cases()) {
    SCOPED_TRACE(c.what);
    const TokenPermutation permutation = make_permutation(c.topk_ids_TK, c.experts);
    const int64_t tokens = c.topk_ids_TK.size(0), rows = c.topk_ids_TK.numel();
    check_op(
        {normal({rows, c.d}, 1)}, [&](const Tensors& in) { return Tensors{permute_backward(in[0], permutation.permuted_rows_TK)}; },
        [&](const Tensors& in) {
          return gradients_of([&](const Tensors& x) { return Tensors{permute_ref(x[0], permutation.sorted_token_ids_S)}; },
                              {at::zeros({tokens, c.d}, at::kDouble)}, {in[0]});
        },
        c.topk_ids_TK.size(1));
    check_op(
        {normal({tokens, c.d}, 2), in_wider(normal({rows, c.d}, 3)), normal(c.topk_ids_TK.sizes(), 4)},
        [&](const Tensors& in) {
          const UnpermuteGrad grad = unpermute_backward(in[0], in[1], in[2], permutation.permuted_rows_TK);
          return Tensors{grad.dy_SD, grad.d_weights_TK};
        },
        [&](const Tensors& in) {
          return gradients_of([&](const Tensors& x) { return Tensors{unpermute_ref(x[0], x[1], permutation.permuted_rows_TK)}; },
                              {in[1], in[2]}, {in[0]});
        },
        c.d);
  }
}

TEST(Permute, RowsToAddComeBehindTheSumInTheirOrder) {
  for (const PermuteCase& c : permute_cases()) {
    SCOPED_TRACE(c.what);
    const TokenPermutation permutation = make_permutation(c.topk_ids_TK, c.experts);
    const at::Tensor y = normal({c.topk_ids_TK.numel(), c.d}, 1), weights = normal(c.topk_ids_TK.sizes(), 2);
    const Tensors plus = {normal({c.topk_ids_TK.size(0), c.d}, 3), normal({c.topk_ids_TK.size(0), c.d}, 4)};
    for_each_variant([&] {
      const at::Tensor combined = unpermute(y, weights, permutation.permuted_rows_TK),
                       gathered = permute_backward(y, permutation.permuted_rows_TK);
      EXPECT_TRUE(same_bits(unpermute(y, weights, permutation.permuted_rows_TK, plus), combined + plus[0] + plus[1]));
      EXPECT_TRUE(same_bits(unpermute(y, weights, permutation.permuted_rows_TK, plus[1]), combined + plus[1]));
      EXPECT_TRUE(same_bits(permute_backward(y, permutation.permuted_rows_TK, plus), gathered + plus[0] + plus[1]));
    });
  }
}

// A token's unpermuted row does not depend on which rows its experts gave it.
TEST(Permute, UnpermutedRowIgnoresTheOtherTokens) {
  const at::Tensor ids = std::get<1>(normal({40, 8}, 1).topk(3)).contiguous(), weights = normal({40, 3}, 2), x = normal({40, 21}, 3);
  for_each_variant([&] {
    const auto whole = make_permutation(ids, 8), last = make_permutation(ids.slice(0, 39), 8);
    const at::Tensor y = unpermute(permute(x, whole.sorted_token_ids_S), weights, whole.permuted_rows_TK);
    const at::Tensor one = unpermute(permute(x.slice(0, 39), last.sorted_token_ids_S), weights.slice(0, 39), last.permuted_rows_TK);
    EXPECT_TRUE(same_bits(y.slice(0, 39), one));
  });
}

}  // namespace
}  // namespace finback
