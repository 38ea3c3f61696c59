#include "kernels/gemm.h"

#include "kernels/op_check.h"

namespace finback {
namespace {

struct Case {
  int64_t m, n, k;
};
// Nothing, one, primes, one past every tile (4, 6, 12 rows; 2, 16, 32 columns), past a row block and past a block of K.
constexpr Case kCases[] = {{0, 5, 3},   {5, 0, 3},    {4, 3, 0},     {1, 1, 1},     {5, 3, 7},
                           {7, 17, 31}, {13, 33, 65}, {97, 34, 385}, {23, 257, 80}, {200, 70, 11}};

// Operands as they come: rows, or columns of a transposed matrix; rows of a wider one.
Operand plain(const at::Tensor& x) { return {x.const_data_ptr<float>(), x.stride(0), x.stride(1)}; }

// in: a [M, K], b [K, N], c before. Out: c after adding, c overwritten through packed panels.
Tensors multiply(const Tensors& in) {
  const int64_t m = in[0].size(0), n = in[1].size(1), k = in[0].size(1);
  const at::Tensor sum = in[2].clone(), product = at::empty({m, n}), packed = at::empty({packed_floats(k, n)});
  gemm(m, n, k, plain(in[0]), plain(in[1]), sum.mutable_data_ptr<float>(), n, true);
  pack_panels(k, n, plain(in[1]), packed.mutable_data_ptr<float>());
  gemm_packed(m, n, k, plain(in[0]), packed.const_data_ptr<float>(), product.mutable_data_ptr<float>(), n, false);
  return {sum, product};
}
Tensors definition(const Tensors& in) {
  const at::Tensor product = at::matmul(in[0], in[1]);
  return {in[2] + product, product};
}

TEST(Gemm, AgreesWithItsDefinitionForAnyShapeAndLayout) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(fmt::format("{} x {} x {}", c.m, c.n, c.k));
    const at::Tensor a = normal({c.m, c.k}, 1), b = normal({c.k, c.n}, 2), before = normal({c.m, c.n}, 3);
    const at::Tensor a_columns = a.t().contiguous().t(), b_columns = b.t().contiguous().t();
    check_op({a, b, before}, multiply, definition, c.k);
    check_op({a_columns, b_columns, before}, multiply, definition, c.k);
    check_op({in_wider(a), in_wider(b), before}, multiply, definition, c.k);
  }
}

// Note [One FMA chain]: bits against the chain computed element by element.
TEST(Gemm, EveryElementIsOneChain) {
  const at::Tensor a = normal({14, 400}, 1), b = normal({400, 35}, 2), before = normal({14, 35}, 3);
  for_each_variant([&] {
    const Tensors got = multiply({a, b, before});
    const at::Tensor chain = before.clone();
    auto c = chain.accessor<float, 2>();
    const auto x = a.accessor<float, 2>(), y = b.accessor<float, 2>();
    for (int64_t i = 0; i < 14; ++i) {
      for (int64_t j = 0; j < 35; ++j) {
        for (int64_t k = 0; k < 400; ++k)
          c[i][j] = kernel_variant() == Variant::kPortable ? c[i][j] + x[i][k] * y[k][j] : std::fma(x[i][k], y[k][j], c[i][j]);
      }
    }
    EXPECT_TRUE(same_bits(got[0], chain));
  });
}

TEST(Gemm, RowDependsOnItselfAlone) {
  const at::Tensor b = normal({390, 40}, 2);
  check_rows_alone({normal({101, 390}, 1), normal({101, 40}, 3)}, [&](const Tensors& in) { return multiply({in[0], b, in[1]}); });
}

TEST(Gemm, SumCutAnywhereInKHasTheSameBits) {
  const at::Tensor a = normal({30, 500}, 1), b = normal({500, 40}, 2);
  check_micro_batches(normal({30, 40}, 3), 500, [&](const at::Tensor& sum, int64_t first, int64_t end) {
    gemm(30, 40, end - first, plain(a.slice(1, first, end)), plain(b.slice(0, first, end)), sum.mutable_data_ptr<float>(), 40, true);
  });
}

TEST(Gemm, LeavesColumnsBesideItsResultAlone) {
  const at::Tensor a = normal({9, 20}, 1), b = normal({20, 35}, 2);
  for_each_variant([&] {
    const at::Tensor wide = at::full({9, 40}, 7.0f);
    gemm(9, 35, 20, plain(a), plain(b), wide.mutable_data_ptr<float>() + 2, 40, false);
    EXPECT_TRUE(wide.slice(1, 0, 2).eq(7).all().item<bool>() && wide.slice(1, 37).eq(7).all().item<bool>());
    expect_close(wide.slice(1, 2, 37), at::matmul(a, b), 20);
  });
}

}  // namespace
}  // namespace finback
