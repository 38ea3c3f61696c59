#include "kernels/dispatch.h"

#include "kernels/op_check.h"
#include "kernels/ref_grad.h"

namespace finback {
namespace {

struct Case {
  const char* what;
  at::Tensor topk_ids_TK;
  int64_t experts, d;
};
std::vector<Case> cases() {
  return {{"no tokens", at::empty({0, 2}, at::kLong), 3, 8},
          {"one token, one channel", at::zeros({1, 1}, at::kLong), 1, 1},
          {"spread", std::get<1>(normal({65, 16}, 1).topk(4)), 16, 17},
          {"an expert without tokens", at::tensor({0, 2, 2, 0, 0, 2}, at::kLong).view({3, 2}), 4, 64},
          {"all to one", at::full({67, 1}, 3, at::kLong), 5, 33}};
}

TEST(Dispatch, SlotsAreSortedByExpertThenToken) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.what);
    const Dispatch dispatch = make_dispatch(c.topk_ids_TK, c.experts);
    ASSERT_EQ(int64_t(dispatch.offsets.size()), c.experts + 1);
    ASSERT_EQ(dispatch.offsets.back(), c.topk_ids_TK.numel());
    // The definition: a stable sort by expert of (token, k) in order.
    const at::Tensor order = std::get<1>(at::sort(c.topk_ids_TK.flatten(), /*stable=*/true, 0, false));
    const int64_t k = c.topk_ids_TK.size(1);
    EXPECT_TRUE(at::equal(dispatch.slot_token_S, order.div(k, "floor")));
    EXPECT_TRUE(at::equal(dispatch.token_slots_TK.flatten().index_select(0, order), at::arange(order.size(0), at::kLong)));
  }
}

TEST(Dispatch, GatherAndCombineAgreeWithTheirDefinitions) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.what);
    const Dispatch dispatch = make_dispatch(c.topk_ids_TK, c.experts);
    const int64_t tokens = c.topk_ids_TK.size(0), slots = c.topk_ids_TK.numel();
    check_op(
        {in_wider(normal({tokens, c.d}, 1))}, [&](const Tensors& in) { return Tensors{gather_rows(in[0], dispatch.slot_token_S)}; },
        [&](const Tensors& in) { return Tensors{gather_rows_ref(in[0], dispatch.slot_token_S)}; }, 1);
    check_op(
        {in_wider(normal({slots, c.d}, 2)), normal(c.topk_ids_TK.sizes(), 3)},
        [&](const Tensors& in) { return Tensors{combine(in[0], in[1], dispatch.token_slots_TK)}; },
        [&](const Tensors& in) { return Tensors{combine_ref(in[0], in[1], dispatch.token_slots_TK)}; }, c.topk_ids_TK.size(1));
  }
}

TEST(Dispatch, GradientsAreThoseOfTheDefinitions) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.what);
    const Dispatch dispatch = make_dispatch(c.topk_ids_TK, c.experts);
    const int64_t tokens = c.topk_ids_TK.size(0), slots = c.topk_ids_TK.numel();
    check_op(
        {normal({slots, c.d}, 1)}, [&](const Tensors& in) { return Tensors{gather_rows_backward(in[0], dispatch.token_slots_TK)}; },
        [&](const Tensors& in) {
          return gradients_of([&](const Tensors& x) { return Tensors{gather_rows_ref(x[0], dispatch.slot_token_S)}; },
                              {at::zeros({tokens, c.d}, at::kDouble)}, {in[0]});
        },
        c.topk_ids_TK.size(1));
    check_op(
        {normal({tokens, c.d}, 2), in_wider(normal({slots, c.d}, 3)), normal(c.topk_ids_TK.sizes(), 4)},
        [&](const Tensors& in) {
          const CombineGrad grad = combine_backward(in[0], in[1], in[2], dispatch.token_slots_TK);
          return Tensors{grad.dy_SD, grad.d_weights_TK};
        },
        [&](const Tensors& in) {
          return gradients_of([&](const Tensors& x) { return Tensors{combine_ref(x[0], x[1], dispatch.token_slots_TK)}; }, {in[1], in[2]},
                              {in[0]});
        },
        c.d);
  }
}

TEST(Dispatch, RowsToAddComeBehindTheSumInTheirOrder) {
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.what);
    const Dispatch dispatch = make_dispatch(c.topk_ids_TK, c.experts);
    const at::Tensor y = normal({c.topk_ids_TK.numel(), c.d}, 1), weights = normal(c.topk_ids_TK.sizes(), 2);
    const Tensors plus = {normal({c.topk_ids_TK.size(0), c.d}, 3), normal({c.topk_ids_TK.size(0), c.d}, 4)};
    for_each_variant([&] {
      const at::Tensor combined = combine(y, weights, dispatch.token_slots_TK), gathered = gather_rows_backward(y, dispatch.token_slots_TK);
      EXPECT_TRUE(same_bits(combine(y, weights, dispatch.token_slots_TK, plus), combined + plus[0] + plus[1]));
      EXPECT_TRUE(same_bits(combine(y, weights, dispatch.token_slots_TK, plus[1]), combined + plus[1]));
      EXPECT_TRUE(same_bits(gather_rows_backward(y, dispatch.token_slots_TK, plus), gathered + plus[0] + plus[1]));
    });
  }
}

// A token's combined row does not depend on which slots its experts gave it.
TEST(Dispatch, CombinedRowIgnoresTheOtherTokens) {
  const at::Tensor ids = std::get<1>(normal({40, 8}, 1).topk(3)).contiguous(), weights = normal({40, 3}, 2), x = normal({40, 21}, 3);
  for_each_variant([&] {
    const auto whole = make_dispatch(ids, 8), last = make_dispatch(ids.slice(0, 39), 8);
    const at::Tensor y = combine(gather_rows(x, whole.slot_token_S), weights, whole.token_slots_TK);
    const at::Tensor one = combine(gather_rows(x.slice(0, 39), last.slot_token_S), weights.slice(0, 39), last.token_slots_TK);
    EXPECT_TRUE(same_bits(y.slice(0, 39), one));
  });
}

}  // namespace
}  // namespace finback
