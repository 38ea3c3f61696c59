#include "kernels/linear.h"

#include "kernels/op_check.h"
#include "kernels/ref_grad.h"

namespace finback {
namespace {

constexpr uint64_t kLinearStamp = 1;

struct LinearCase {
  int64_t tokens, n, k;
};
constexpr LinearCase kLinearCases[] = {{0, 3, 4}, {1, 1, 1}, {5, 7, 11}, {97, 33, 65}, {13, 160, 80}};

// The layouts of parameters: rows of a wider buffer, as one expert after another leaves them.
at::Tensor stacked(int64_t groups, int64_t n, int64_t k, uint64_t seed) {
  return at::full({groups, n + 2, k}, std::nan("")).slice(1, 0, n).copy_(normal({groups, n, k}, seed));
}

TEST(Linear, AgreesWithItsReferenceAndItsGradients) {
  for (const LinearCase& c : kLinearCases) {
    SCOPED_TRACE(fmt::format("{} x {} x {}", c.tokens, c.n, c.k));
    const Tensors in = {in_wider(normal({c.tokens, c.k}, 1)), normal({c.n, c.k}, 2), in_wider(normal({c.tokens, c.n}, 3)),
                        normal({c.n, c.k}, 4)};
    check_op(
        in,
        [](const Tensors& x) {
          const PackedWeight w = prepared(x[1], &kLinearStamp);
          const at::Tensor dw = x[3].clone();
          linear_wgrad_(dw, x[2], x[0]);
          return Tensors{linear(x[0], w), linear_dgrad(x[2], w), dw};
        },
        [](const Tensors& x) {
          const Tensors grads =
              gradients_of([](const Tensors& leaves) { return Tensors{linear_ref(leaves[0], leaves[1])}; }, {x[0], x[1]}, {x[2]});
          return Tensors{linear_ref(x[0], x[1]), grads[0], x[3] + grads[1]};
        },
        std::max({c.tokens, c.n, c.k}));
  }
}

struct GroupedCase {
  const char* what;
  std::vector<int64_t> offsets;
};
const GroupedCase kGroupedCases[] = {
    {"no rows", {0, 0, 0, 0}}, {"an empty group", {0, 5, 5, 103}}, {"all to one", {0, 0, 50, 50}}, {"one row each", {0, 1, 2, 3}}};

TEST(GroupedLinear, AgreesWithItsReferenceAndItsGradients) {
  for (const GroupedCase& c : kGroupedCases) {
    SCOPED_TRACE(c.what);
    const int64_t rows = c.offsets.back(), n = 33, k = 20;
    check_op(
        {in_wider(normal({rows, k}, 1)), stacked(3, n, k, 2), in_wider(normal({rows, n}, 3)), normal({3, n, k}, 4)},
        [&](const Tensors& x) {
          const PackedWeight w = prepared(x[1], &kLinearStamp);
          const at::Tensor dw = stacked(3, n, k, 4);
          grouped_linear_wgrad_(dw, x[2], x[0], at::tensor(c.offsets));
          return Tensors{grouped_linear(x[0], w, at::tensor(c.offsets)), grouped_linear_dgrad(x[2], w, at::tensor(c.offsets)),
                         dw.contiguous()};
        },
        [&](const Tensors& x) {
          const Tensors grads =
              gradients_of([&](const Tensors& leaves) { return Tensors{grouped_linear_ref(leaves[0], leaves[1], at::tensor(c.offsets))}; },
                           {x[0], x[1]}, {x[2]});
          return Tensors{grouped_linear_ref(x[0], x[1], at::tensor(c.offsets)), grads[0], x[3] + grads[1]};
        },
        std::max(rows, n));
  }
}

// Bits of a row in a group are those of the row alone in a plain linear layer of that group's weight.
TEST(GroupedLinear, RowDoesNotKnowItsGroup) {
  const at::Tensor x = normal({50, 20}, 1), w_ENK = stacked(3, 33, 20, 2);
  const at::Tensor offsets = at::tensor({0, 7, 7, 50}, at::kLong);
  for_each_variant([&] {
    const at::Tensor y = grouped_linear(x, prepared(w_ENK, &kLinearStamp), offsets);
    EXPECT_TRUE(same_bits(y.slice(0, 49), linear(x.slice(0, 49), prepared(w_ENK[2], &kLinearStamp))));
    EXPECT_TRUE(same_bits(y.slice(0, 0, 7), linear(x.slice(0, 0, 7), prepared(w_ENK[0], &kLinearStamp))));
  });
}

TEST(Linear, WeightGradientOfMicroBatchesIsThatOfOneBatch) {
  const at::Tensor dy = normal({500, 30}, 1), x = normal({500, 40}, 2);
  check_micro_batches(normal({30, 40}, 3), 500, [&](const at::Tensor& sum, int64_t first, int64_t end) {
    linear_wgrad_(sum, dy.slice(0, first, end), x.slice(0, first, end));
  });
}

TEST(GroupedLinear, WeightGradientOfMicroBatchesIsThatOfOneBatch) {
  // Each micro-batch has its own share of every expert's tokens: the first third of the rows here.
  const at::Tensor dy = normal({90, 30}, 1), x = normal({90, 40}, 2);
  for_each_variant([&] {
    const at::Tensor whole = normal({3, 30, 40}, 3), halves = whole.clone();
    grouped_linear_wgrad_(whole, dy, x, at::tensor({0, 30, 60, 90}, at::kLong));
    const auto piece = [&](const at::Tensor& t, int64_t first, int64_t end) {
      return at::cat({t.slice(0, first, end), t.slice(0, 30 + first, 30 + end), t.slice(0, 60 + first, 60 + end)});
    };
    grouped_linear_wgrad_(halves, piece(dy, 0, 11), piece(x, 0, 11), at::tensor({0, 11, 22, 33}, at::kLong));
    grouped_linear_wgrad_(halves, piece(dy, 11, 30), piece(x, 11, 30), at::tensor({0, 19, 38, 57}, at::kLong));
    EXPECT_TRUE(same_bits(whole, halves));
  });
}

TEST(HeadsLinear, AgreesWithItsReferenceAndItsGradients) {
  for (const LinearCase& c : kLinearCases) {
    SCOPED_TRACE(fmt::format("{} x {} x {}", c.tokens, c.n, c.k));
    const int64_t heads = 3;
    check_op(
        {normal({c.tokens, heads, c.k}, 1), stacked(heads, c.n, c.k, 2), normal({c.tokens, heads, c.n}, 3), normal({heads, c.n, c.k}, 4)},
        [&](const Tensors& x) {
          const at::Tensor dw = x[3].clone();
          heads_linear_wgrad_(dw, x[2], x[0]);
          const PackedWeight w = prepared(x[1], &kLinearStamp);
          return Tensors{heads_linear(x[0], w), heads_linear_t(x[2], w), dw};
        },
        [](const Tensors& x) {
          const Tensors grads =
              gradients_of([](const Tensors& leaves) { return Tensors{heads_linear_ref(leaves[0], leaves[1])}; }, {x[0], x[1]}, {x[2]});
          return Tensors{heads_linear_ref(x[0], x[1]), grads[0], x[3] + grads[1]};
        },
        std::max({c.tokens, c.n, c.k}));
  }
}

}  // namespace
}  // namespace finback
