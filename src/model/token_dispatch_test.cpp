#include "model/token_dispatch.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "gemm/each_variant.h"

namespace finback {
namespace {

constexpr int64_t kExperts = 5, kTokens = 12;

// Expert 3 gets nothing; packed rows begin at tokens 0, 7 and 8.
at::Tensor ids() {
  return at::tensor({0, 2, 4, 1, 2, 0, 1, 2, 4, 0, 2, 1, 0, 1, 2, 4, 1, 0, 4, 2, 0, 4, 1, 2}, at::kLong).view({kTokens, 2});
}
at::Tensor numbers(at::IntArrayRef sizes) { return at::arange(c10::multiply_integers(sizes)).to(at::kFloat).mul(0.37).sin().view(sizes); }

RowGroups tokens() { return one_group(kTokens, at::tensor({0, 7, 8, 12}, at::kLong)); }
DispatchedTokens dispatched(const at::Tensor& n_TD, Precision precision) {
  return dispatch({quantize_rows(n_TD, precision), {}}, ids(), kExperts, tokens());
}

// The rows that the experts multiply, one below the other.
at::Tensor expert_rows(const DispatchedTokens& d) {
  const at::Tensor rows = dequantize_rows(d.x.rows);
  return d.groups.source_rows_S.defined() ? rows.index_select(0, d.groups.source_rows_S) : rows;
}

TEST(TokenDispatch, HandsEveryExpertTheRowsOfItsTokens) {
  const at::Tensor n_TD = numbers({kTokens, 6}).to(at::kBFloat16).to(at::kFloat);  // exact in both precisions
  for_each_variant([&] {
    for (const Precision precision : {Precision::kF32, Precision::kBf16}) {
      const DispatchedTokens d = dispatched(n_TD, precision);
      const at::Tensor expected =
          n_TD.index_select(0, at::tensor({0, 2, 4, 6, 8, 10, 1, 3, 5, 6, 8, 11, 0, 2, 3, 5, 7, 9, 11, 1, 4, 7, 9, 10}));
      EXPECT_TRUE(at::equal(expert_rows(d), expected)) << precision_name(precision);
    }
  });
}

// Experts that return their rows: a token gets itself, times the sum of its weights, and the gradients are the transposes of both steps.
TEST(TokenDispatch, CombineBringsTheRowsHome) {
  const at::Tensor n_TD = numbers({kTokens, 6}), more_TD = n_TD * 3, weights_TK = numbers({kTokens, 2}) + 1.5,
                   dy_TD = numbers({kTokens, 6}).cos();
  for_each_variant([&] {
    const DispatchedTokens d = dispatched(n_TD, Precision::kF32);
    const at::Tensor y_SD = expert_rows(d), y_TD = combine(y_SD, weights_TK, d, more_TD);
    EXPECT_TRUE(at::allclose(y_TD, n_TD * weights_TK.sum(1, true) + more_TD));
    const UnpermuteGrad grad = combine_backward(dy_TD, y_SD, weights_TK, d);
    EXPECT_TRUE(at::allclose(grad.d_weights_TK, (dy_TD * n_TD).sum(1, true).expand({kTokens, 2})));
    EXPECT_TRUE(at::allclose(dispatch_backward(grad.dy_SD, d, more_TD), dy_TD * weights_TK.sum(1, true) + more_TD));
  });
}

// Note [Tiles along tokens]: every packed row of an expert is a tile of its own.
TEST(TokenDispatch, TilesOfAnExpertBeginAnewAtEveryPackedRow) {
  for_each_variant([&] {
    const DispatchedTokens d = dispatched(numbers({kTokens, 6}), Precision::kBf16);
    EXPECT_TRUE(at::equal(d.groups.tile_boundaries,
                          at::tensor({0, 4, 4, 6, 6, 10, 10, 12, 12, 16, 17, 19, 19, 19, 19, 19, 19, 21, 22, 24}, at::kLong)));
  });
}

}  // namespace
}  // namespace finback
