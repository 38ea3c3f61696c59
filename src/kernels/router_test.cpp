#include "kernels/router.h"

#include "kernels/op_check.h"
#include "kernels/ref_grad.h"

namespace finback {
namespace {

struct RouterCase {
  int64_t tokens, experts;
  RouterOptions options;
  bool bias;
};
std::vector<RouterCase> router_cases() {
  RouterOptions v3;
  v3.num_experts_per_tok = 4, v3.n_group = 4, v3.topk_group = 2, v3.routed_scaling_factor = 2.5;
  RouterOptions v2 = v3;
  v2.sigmoid = v2.group_sum_top2 = v2.norm_topk_prob = false;
  RouterOptions one;  // top-1 of all
  RouterOptions all;
  all.num_experts_per_tok = 5, all.norm_topk_prob = false;
  RouterOptions past_groups = v3;  // more experts a token than the chosen groups hold
  past_groups.num_experts_per_tok = 5, past_groups.topk_group = 1;
  return {{0, 16, v3, true},   {1, 16, v3, true}, {65, 16, v3, true},        {31, 16, v2, false},
          {7, 16, one, false}, {9, 5, all, true}, {9, 8, past_groups, true}, {64, 256, v3, true}};
}

Tensors routed(const Routing& r) { return {r.scores_TE, r.topk_ids_TK, r.weights_TK}; }

TEST(Router, AgreesWithItsReference) {
  for (const RouterCase& c : router_cases()) {
    SCOPED_TRACE(fmt::format("{} tokens, {} experts, sigmoid {}", c.tokens, c.experts, c.options.sigmoid));
    const at::Tensor bias = c.bias ? normal({c.experts}, 2) * 0.3 : at::Tensor();
    check_op(
        {in_wider(normal({c.tokens, c.experts}, 1)), bias}, [&](const Tensors& in) { return routed(route(in[0], in[1], c.options)); },
        [&](const Tensors& in) { return routed(route_ref(in[0], in[1], c.options)); }, c.experts);
  }
}

TEST(Router, LowerIndexWinsTies) {
  RouterOptions options;
  options.num_experts_per_tok = 3, options.n_group = 4, options.topk_group = 2;
  for_each_variant([&] {
    const Routing routing = route(at::zeros({2, 8}), {}, options);
    EXPECT_TRUE(at::equal(routing.topk_ids_TK, at::tensor({0, 1, 2, 0, 1, 2}, at::kLong).view({2, 3})));
  });
}

TEST(Router, NanLogitsStillNameDifferentExperts) {
  RouterOptions options;
  options.num_experts_per_tok = 4, options.n_group = 2, options.topk_group = 1;
  for_each_variant([&] {
    const Routing routing = route(at::full({1, 8}, std::nan("")), {}, options);
    const at::Tensor sorted = std::get<0>(routing.topk_ids_TK.sort());
    EXPECT_TRUE(at::equal(std::get<0>(at::_unique2(sorted)), sorted.flatten()));
  });
}

// in: logits, d_weights, d_scores. The gradient of the reference's weights (and of its scores) with the choice held fixed.
TEST(Router, GradientIsThatOfItsReference) {
  for (const RouterCase& c : router_cases()) {
    if (c.tokens == 0) continue;
    SCOPED_TRACE(fmt::format("{} tokens, {} experts, sigmoid {}", c.tokens, c.experts, c.options.sigmoid));
    const at::Tensor bias = c.bias ? normal({c.experts}, 2) * 0.3 : at::Tensor();
    const Tensors in = {normal({c.tokens, c.experts}, 1), normal({c.tokens, c.options.num_experts_per_tok}, 3),
                        normal({c.tokens, c.experts}, 4)};
    check_op(
        in, [&](const Tensors& x) { return Tensors{route_backward(route(x[0], bias, c.options), x[1], x[2], c.options)}; },
        [&](const Tensors& x) {
          return gradients_of(
              [&](const Tensors& leaves) {
                const Routing r = route_ref(leaves[0], bias.defined() ? bias.to(at::kDouble) : bias, c.options);
                return Tensors{r.weights_TK, r.scores_TE};
              },
              {x[0]}, {x[1], x[2]});
        },
        c.experts);
  }
}

TEST(Router, BalanceLossAndGradientAgreeWithTheirReference) {
  const at::Tensor starts = at::tensor({0, 5, 5, 37, 64}, at::kLong);  // one empty sequence
  const at::Tensor ids = random_ids({64, 3}, 16, 2), before = normal({64, 16}, 3);
  check_op(
      {at::sigmoid(normal({64, 16}, 1)), before},
      [&](const Tensors& in) {
        const at::Tensor d_scores = in[1].clone();
        const at::Tensor loss = sequence_balance(in[0], ids, starts, 0.25, d_scores);
        EXPECT_TRUE(same_bits(loss, sequence_balance(in[0], ids, starts, 0.25, {}))) << "asking for the gradient changed the loss";
        return Tensors{loss, d_scores};
      },
      [&](const Tensors& in) {
        const at::Tensor scale = at::full({4}, 0.25, at::kDouble);
        const Tensors grads =
            gradients_of([&](const Tensors& leaves) { return Tensors{sequence_balance_ref(leaves[0], ids, starts)}; }, {in[0]}, {scale});
        return Tensors{sequence_balance_ref(in[0], ids, starts), in[1] + grads[0]};
      },
      64);
}

TEST(Router, RowDependsOnItselfAlone) {
  const RouterCase c = router_cases()[2];
  check_rows_alone({normal({65, 16}, 1), normal({65, 4}, 2)}, [&](const Tensors& in) {
    const Routing r = route(in[0], {}, c.options);
    return Tensors{r.scores_TE, r.topk_ids_TK, r.weights_TK, route_backward(r, in[1], {}, c.options)};
  });
}

TEST(Router, CountsTokensOfEveryExpert) {
  for_each_variant([&] {
    EXPECT_TRUE(at::equal(expert_counts(at::tensor({4, 1, 4, 0}, at::kLong).view({2, 2}), 6), at::tensor({1, 1, 0, 0, 2, 0}, at::kLong)));
    EXPECT_TRUE(at::equal(expert_counts(at::empty({0, 2}, at::kLong), 3), at::zeros({3}, at::kLong)));
  });
}

}  // namespace
}  // namespace finback
