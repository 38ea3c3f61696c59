#include "kernels/rope.h"

#include "kernels/op_check.h"

namespace finback {
namespace {

struct RopeCase {
  int64_t tokens, heads, r;
};
constexpr RopeCase kRopeCases[] = {{0, 2, 8}, {1, 1, 2}, {65, 3, 16}, {7, 8, 64}, {5, 2, 34}, {3, 1, 6}};

at::Tensor table(int64_t positions, int64_t r) {
  const at::Tensor angles = at::outer(at::arange(positions, at::kFloat), at::pow(100.0, -at::arange(0, r, 2).to(at::kFloat) / double(r)));
  return at::cat({angles.cos(), angles.sin()}, 1).contiguous();
}

// in: x, positions, table.
TensorOp rotate(bool rotate_half, bool inverse) {
  return [=](const Tensors& in) {
    const at::Tensor wide = at::full({in[0].size(0), in[0].numel() / std::max<int64_t>(in[0].size(0), 1) + 5}, 7.0f);
    at::Tensor x =
        in[0].dim() == 2 || in[0].size(0) == 0 ? in[0].clone() : wide.slice(1, 2, wide.size(1) - 3).view(in[0].sizes()).copy_(in[0]);
    rope_(x, in[1], in[2], rotate_half, inverse);
    EXPECT_TRUE(at::all(wide.slice(1, 0, 2).eq(7)).item<bool>()) << "wrote outside its channels";
    return Tensors{x};
  };
}
TensorOp rotate_ref(bool rotate_half, bool inverse) {
  return [=](const Tensors& in) { return Tensors{rope_ref(in[0], in[1], in[2], rotate_half, inverse)}; };
}

TEST(Rope, AgreesWithItsReferenceInBothLayoutsAndDirections) {
  for (const RopeCase& c : kRopeCases) {
    for (const bool rotate_half : {false, true}) {
      for (const bool inverse : {false, true}) {
        SCOPED_TRACE(fmt::format("{} x {} x {}, rotate_half {}, inverse {}", c.tokens, c.heads, c.r, rotate_half, inverse));
        const at::Tensor x = normal({c.tokens, c.heads, c.r}, 1), positions = random_ids({c.tokens}, 50, 2);
        check_op({x, positions, table(50, c.r)}, rotate(rotate_half, inverse), rotate_ref(rotate_half, inverse), 2);
        check_op({x.select(1, 0), positions, table(50, c.r)}, rotate(rotate_half, inverse), rotate_ref(rotate_half, inverse), 2);
      }
    }
  }
}

TEST(Rope, InverseRotatesBack) {
  const at::Tensor x = normal({33, 4, 16}, 1), positions = random_ids({33}, 50, 2);
  for_each_variant([&] {
    at::Tensor y = x.clone();
    rope_(y, positions, table(50, 16), false, false);
    EXPECT_GT((y - x).abs().max().item<double>(), 0.1);
    rope_(y, positions, table(50, 16), false, true);
    expect_close(y, x, 4);
  });
}

TEST(Rope, RowDependsOnItselfAlone) {
  check_rows_alone({normal({70, 3, 16}, 1), random_ids({70}, 50, 2)}, [](const Tensors& in) {
    return rotate(false, false)({in[0], in[1], table(50, 16)});
  });
}

}  // namespace
}  // namespace finback
