#include "kernels/rms_norm.h"

#include "kernels/op_check.h"
#include "kernels/ref_grad.h"

namespace finback {
namespace {

constexpr double kEps = 1e-6;

struct RmsNormCase {
  int64_t tokens, d;
};
// 0 and 1 rows, one channel, primes, around a vector and around a chunk of 64.
constexpr RmsNormCase kRmsNormCases[] = {{0, 8}, {1, 1}, {3, 17}, {64, 64}, {65, 65}, {130, 256}, {7, 1031}};

Tensors norm(const Tensors& in) {
  const RmsNorm n = rms_norm(in[0], in[1], kEps);
  return {n.y_TD, n.rstd_T};
}
Tensors norm_ref(const Tensors& in) {
  const RmsNorm n = rms_norm_ref(in[0], in[1], kEps);
  return {n.y_TD, n.rstd_T};
}

// in: x, weight, dy, dweight before. Out: dx, dweight after.
Tensors backward(const Tensors& in) {
  const at::Tensor dweight = in[3].clone();
  const at::Tensor dx = rms_norm_backward(in[2], in[0], in[1], rms_norm(in[0], in[1], kEps).rstd_T, dweight);
  return {dx, dweight};
}
Tensors backward_by_autograd(const Tensors& in) {
  const Tensors grads =
      gradients_of([](const Tensors& leaves) { return Tensors{rms_norm_ref(leaves[0], leaves[1], kEps).y_TD}; }, {in[0], in[1]}, {in[2]});
  return {grads[0], in[3] + grads[1]};
}

Tensors inputs(const RmsNormCase& c) {
  return {normal({c.tokens, c.d}, 1), normal({c.d}, 2), normal({c.tokens, c.d}, 3), normal({c.d}, 4)};
}

TEST(RmsNorm, AgreesWithItsReference) {
  for (const RmsNormCase& c : kRmsNormCases) {
    SCOPED_TRACE(fmt::format("{} x {}", c.tokens, c.d));
    Tensors in = inputs(c);
    in.resize(2);
    check_op(in, norm, norm_ref, c.d);
    check_op({in_wider(in[0]), in[1]}, norm, norm_ref, c.d);
  }
}

// in: x, residual, weight. The sum, its norm, its rstd.
Tensors add_norm(const Tensors& in) {
  const at::Tensor x = in[0].clone();
  const RmsNorm n = add_rms_norm_(x, in[1], in[2], kEps);
  return {x, n.y_TD, n.rstd_T};
}

TEST(RmsNorm, OfASumIsTheSumThenItsNormToTheBit) {
  for (const RmsNormCase& c : kRmsNormCases) {
    SCOPED_TRACE(fmt::format("{} x {}", c.tokens, c.d));
    const Tensors in = {normal({c.tokens, c.d}, 1), normal({c.tokens, c.d}, 5), normal({c.d}, 2)};
    for_each_variant([&] {
      const Tensors fused = add_norm(in);
      const RmsNorm n = rms_norm(in[0] + in[1], in[2], kEps);
      EXPECT_TRUE(same_bits(fused[0], in[0] + in[1]) && same_bits(fused[1], n.y_TD) && same_bits(fused[2], n.rstd_T));
    });
  }
}

TEST(RmsNorm, ResidualGradientIsAddedToTheBit) {
  for (const RmsNormCase& c : kRmsNormCases) {
    SCOPED_TRACE(fmt::format("{} x {}", c.tokens, c.d));
    const Tensors in = inputs(c);
    const at::Tensor past = normal({c.tokens, c.d}, 6);
    for_each_variant([&] {
      const at::Tensor rstd = rms_norm(in[0], in[1], kEps).rstd_T;
      const at::Tensor with = rms_norm_backward(in[2], in[0], in[1], rstd, {}, past);
      EXPECT_TRUE(same_bits(with, rms_norm_backward(in[2], in[0], in[1], rstd, {}) + past));
    });
  }
}

TEST(RmsNorm, GradientIsThatOfItsReference) {
  for (const RmsNormCase& c : kRmsNormCases) {
    SCOPED_TRACE(fmt::format("{} x {}", c.tokens, c.d));
    const Tensors in = inputs(c);
    check_op(in, backward, backward_by_autograd, std::max(c.d, c.tokens));
    check_op({in_wider(in[0]), in[1], in_wider(in[2]), in[3]}, backward, backward_by_autograd, std::max(c.d, c.tokens));
  }
}

TEST(RmsNorm, RowDependsOnItselfAlone) {
  const Tensors in = inputs({67, 100});
  check_rows_alone({in[0], in[2]}, [&](const Tensors& rows) {
    const RmsNorm n = rms_norm(rows[0], in[1], kEps);
    return Tensors{n.y_TD, n.rstd_T, rms_norm_backward(rows[1], rows[0], in[1], n.rstd_T, {})};
  });
}

TEST(RmsNorm, WeightGradientOfMicroBatchesIsThatOfOneBatch) {
  const Tensors in = inputs({131, 70});
  check_micro_batches(in[3], 131, [&](const at::Tensor& sum, int64_t first, int64_t end) {
    const at::Tensor x = in[0].slice(0, first, end);
    rms_norm_backward(in[2].slice(0, first, end), x, in[1], rms_norm(x, in[1], kEps).rstd_T, sum);
  });
}

}  // namespace
}  // namespace finback
