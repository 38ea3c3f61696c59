#include "kernels/skeleton.h"

#include "kernels/op_check.h"
#include "kernels/ref_grad.h"

namespace finback {
namespace {

// One case table serves correctness and gradients: nothing, one, primes, a whole chunk, one past it.
struct SkeletonCase {
  int64_t tokens, d;
};
constexpr SkeletonCase kSkeletonCases[] = {{0, 8}, {1, 1}, {3, 17}, {64, 64}, {65, 65}};

Tensors forward(const Tensors& in) {
  const at::Tensor y = in_wider(in[1]);
  axpby_(y, 0.3, in[0], -2);
  return {y};
}
Tensors reference(const Tensors& in) { return {axpby_ref(in[1], 0.3, in[0], -2)}; }

TEST(Skeleton, AgreesWithItsReference) {
  for (const SkeletonCase& c : kSkeletonCases) {
    SCOPED_TRACE(fmt::format("{} x {}", c.tokens, c.d));
    const at::Tensor x = normal({c.tokens, c.d}, 1), y = normal({c.tokens, c.d}, 2);
    check_op({x, y}, forward, reference, 2);
    check_op({in_wider(x), y}, forward, reference, 2);
  }
}

TEST(Skeleton, GradientIsThatOfItsReference) {
  for (const SkeletonCase& c : kSkeletonCases) {
    SCOPED_TRACE(fmt::format("{} x {}", c.tokens, c.d));
    const at::Tensor zero = at::zeros({c.tokens, c.d}, at::kDouble);
    check_op(
        {normal({c.tokens, c.d}, 3)},
        [](const Tensors& in) {
          const AxpbyGrad grad = axpby_backward(in[0], 0.3, -2);
          return Tensors{grad.dx_TD, grad.dy_TD};
        },
        [&](const Tensors& in) {
          return gradients_of(reference, {zero, zero}, {in[0]});
        },
        2);
  }
}

TEST(Skeleton, RowDependsOnItselfAlone) { check_rows_alone({normal({67, 19}, 1), normal({67, 19}, 2)}, forward); }

}  // namespace
}  // namespace finback
