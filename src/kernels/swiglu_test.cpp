#include "kernels/swiglu.h"

#include "kernels/op_check.h"
#include "kernels/ref_grad.h"

namespace finback {
namespace {

struct SwigluCase {
  int64_t tokens, f;
};
constexpr SwigluCase kSwigluCases[] = {{0, 4}, {1, 1}, {3, 17}, {65, 80}, {64, 16}, {31, 127}};

Tensors forward(const Tensors& in) { return {swiglu(in[0])}; }
Tensors reference(const Tensors& in) { return {swiglu_ref(in[0])}; }
Tensors backward(const Tensors& in) { return {swiglu_backward(in[1], in[0])}; }
Tensors backward_by_autograd(const Tensors& in) { return gradients_of(reference, {in[0]}, {in[1]}); }

TEST(Swiglu, AgreesWithItsReferenceAndItsGradient) {
  for (const SwigluCase& c : kSwigluCases) {
    SCOPED_TRACE(fmt::format("{} x {}", c.tokens, c.f));
    const Tensors in = {normal({c.tokens, 2 * c.f}, 1) * 3, normal({c.tokens, c.f}, 2)};
    check_op({in[0]}, forward, reference, 4);
    check_op(in, backward, backward_by_autograd, 4);
    check_op({in_wider(in[0]), in_wider(in[1])}, backward, backward_by_autograd, 4);
  }
}

TEST(Swiglu, SaturatesWithoutNan) {
  const at::Tensor gate_up = at::tensor({-1000.0f, 1000.0f, -89.0f, 1.0f, 1.0f, 1.0f}).view({1, 6});
  check_op({gate_up}, forward, reference, 1);
  check_op({gate_up, at::ones({1, 3})}, backward, backward_by_autograd, 1);
}

TEST(Swiglu, RowDependsOnItselfAlone) {
  check_rows_alone({normal({66, 2 * 37}, 1), normal({66, 37}, 2)}, [](const Tensors& in) {
    return Tensors{swiglu(in[0]), swiglu_backward(in[1], in[0])};
  });
}

}  // namespace
}  // namespace finback
