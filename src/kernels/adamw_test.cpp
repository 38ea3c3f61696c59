#include "kernels/adamw.h"

#include <limits>

#include "kernels/op_check.h"

namespace finback {
namespace {

constexpr int64_t kChunk = 1 << 16;

// in: values, grads, m, v.
TensorOp update(const std::vector<FlatRange>& decayed, const AdamwOptions& options, bool reference) {
  return [=](const Tensors& in) {
    const Tensors state = {in[0].clone(), in[2].clone(), in[3].clone()};
    (reference ? adamw_ref_ : adamw_)(state[0], in[1], state[1], state[2], decayed, options);
    return state;
  };
}

TEST(Adamw, AgreesWithItsReference) {
  AdamwOptions options;
  options.lr = 0.01, options.step = 3, options.grad_scale = 0.7;
  for (const int64_t numel : {int64_t{0}, int64_t{1}, int64_t{17}, kChunk + 1, 3 * kChunk - 5}) {
    SCOPED_TRACE(numel);
    const Tensors in = {normal({numel}, 1), normal({numel}, 2), normal({numel}, 3) * 0.1, normal({numel}, 4).square()};
    const std::vector<FlatRange> all = {{0, numel}}, some = {{numel / 2, numel / 2 + numel / 3}, {0, numel / 5}};
    for (const auto& decayed : {std::vector<FlatRange>{}, all, some})
      check_op(in, update(decayed, options, false), update(decayed, options, true), 4);
  }
}

TEST(Adamw, DecaysOnlyItsRanges) {
  AdamwOptions options;
  options.lr = 0.5, options.weight_decay = 0.5;
  for_each_variant([&] {
    const at::Tensor values = at::ones({100}), zero = at::zeros({100});
    adamw_(values, zero, zero.clone(), zero.clone(), {{10, 20}}, options);
    EXPECT_TRUE(at::equal(values.slice(0, 10, 20), at::full({10}, 0.75f)));
    EXPECT_EQ(values.ne(1.0f).sum().item<int64_t>(), 10);
  });
}

std::vector<FlatRange> ranges_of(int64_t numel, int64_t length) {
  std::vector<FlatRange> ranges;
  for (int64_t begin = 0; begin < numel; begin += length) ranges.push_back({begin, std::min(numel, begin + length)});
  return ranges;
}

// So owners of pieces may add theirs in any order. With the plain f64 sum of the pieces it is red.
TEST(SumOfSquares, DoesNotDependOnTheOrderOfThePieces) {
  for_each_variant([&] {
    const at::Tensor x = normal({40 * 257}, 1) * at::exp(8 * normal({40 * 257}, 2));
    std::vector<FlatRange> pieces = ranges_of(x.numel(), 257);
    const double forward = sum_of_squares(x, pieces);
    for (int turn = 0; turn < 20; ++turn) {
      std::rotate(pieces.begin(), pieces.begin() + 1 + turn % 7, pieces.end());
      std::swap(pieces[0], pieces[size_t(3 + turn)]);
      EXPECT_EQ(sum_of_squares(x, pieces), forward) << turn;
    }
  });
}

TEST(SumOfSquares, AgreesAndLetsNonFiniteThrough) {
  for (const int64_t numel : {int64_t{0}, int64_t{1}, int64_t{31}, kChunk + 1}) {
    const at::Tensor x = normal({numel}, 1);
    const double expected = x.to(at::kDouble).square().sum().item<double>();
    const std::vector<FlatRange> pieces = ranges_of(numel, kChunk);
    for_each_variant([&] {
      set_threads(1);
      const double alone = sum_of_squares(x, pieces);
      set_threads(2);
      EXPECT_EQ(alone, sum_of_squares(x, pieces));
      EXPECT_NEAR(alone, expected, 1e-12 * expected);
      for (const float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
        if (numel == 0) continue;
        const at::Tensor y = x.clone();
        y[numel - 1] = bad;
        EXPECT_FALSE(std::isfinite(sum_of_squares(y, pieces)));
      }
    });
  }
}

TEST(FirstNonfinite, IsTheLowestIndex) {
  for_each_variant([&] {
    const at::Tensor x = normal({2 * kChunk + 3}, 1);
    EXPECT_EQ(first_nonfinite(x), -1);
    EXPECT_EQ(first_nonfinite(at::empty({0})), -1);
    x[2 * kChunk + 2] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_EQ(first_nonfinite(x), 2 * kChunk + 2);
    x[kChunk + 7] = -std::numeric_limits<float>::infinity();
    x[kChunk + 9] = std::numeric_limits<float>::infinity();
    EXPECT_EQ(first_nonfinite(x), kChunk + 7);
  });
}

}  // namespace
}  // namespace finback
