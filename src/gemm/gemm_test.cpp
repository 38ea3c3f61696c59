#include "gemm/gemm.h"

#include <fmt/format.h>

#include "base/pool.h"
#include "gemm/each_variant.h"
#include "gemm/matrix_check.h"

namespace finback {
namespace {

struct GemmCase {
  int64_t m, n, k;
};
// Nothing, one, primes, one past every tile (4, 6, 12 rows; 2, 16, 32 columns), past a row block and past a block of K.
constexpr GemmCase kCases[] = {{0, 5, 3},   {5, 0, 3},    {4, 3, 0},     {1, 1, 1},     {5, 3, 7},
                               {7, 17, 31}, {13, 33, 65}, {97, 34, 385}, {23, 257, 80}, {200, 70, 11}};

// c after adding, c overwritten through packed panels.
struct Products {
  Matrix sum, product;
};
Products multiply(const Matrix& a, const Matrix& b, const Matrix& before) {
  const int64_t m = a.rows, n = b.columns, k = a.columns;
  Products out{before, Matrix(m, n)};
  std::vector<float> packed(size_t(packed_floats(k, n)), std::numeric_limits<float>::quiet_NaN());
  gemm(m, n, k, a.operand(), b.operand(), out.sum.data(), n, true);
  pack_panels(k, n, b.operand(), packed.data());
  gemm_packed(m, n, k, a.operand(), packed.data(), out.product.data(), n, false);
  return out;
}

// Under every variant, on one thread and on two, against sums in f64.
void check(const Matrix& a, const Matrix& b, const Matrix& before) {
  const std::vector<double> sum = product_in_double(a, b, &before), product = product_in_double(a, b, nullptr);
  for_each_variant([&] {
    set_threads(1);
    const Products alone = multiply(a, b, before);
    set_threads(2);
    const Products both = multiply(a, b, before);
    expect_close(both.sum, sum, a.columns);
    expect_close(both.product, product, a.columns);
    EXPECT_TRUE(same_bits(alone.sum, both.sum) && same_bits(alone.product, both.product)) << "one thread and two differ";
  });
}

TEST(Gemm, AgreesWithItsReferenceForAnyShapeAndLayout) {
  for (const GemmCase& c : kCases) {
    SCOPED_TRACE(fmt::format("{} x {} x {}", c.m, c.n, c.k));
    const Matrix a = normal_matrix(c.m, c.k, 1), b = normal_matrix(c.k, c.n, 2), before = normal_matrix(c.m, c.n, 3);
    check(a, b, before);
    check(by_columns(a), by_columns(b), before);
    check(in_wider(a), in_wider(b), before);
  }
}

// Note [One FMA chain]: bits against the chain computed element by element.
TEST(Gemm, EveryElementIsOneChain) {
  const Matrix a = normal_matrix(14, 400, 1), b = normal_matrix(400, 35, 2), before = normal_matrix(14, 35, 3);
  for_each_variant([&] {
    Matrix chain = before;
    for (int64_t i = 0; i < 14; ++i) {
      for (int64_t j = 0; j < 35; ++j) {
        float& c = chain.at(i, j);
        for (int64_t k = 0; k < 400; ++k)
          c = kernel_variant() == Variant::kPortable ? c + a.at(i, k) * b.at(k, j) : std::fma(a.at(i, k), b.at(k, j), c);
      }
    }
    EXPECT_TRUE(same_bits(multiply(a, b, before).sum, chain));
  });
}

TEST(Gemm, RowDependsOnItselfAlone) {
  const Matrix a = normal_matrix(101, 390, 1), b = normal_matrix(390, 40, 2), before = normal_matrix(101, 40, 3);
  for_each_variant([&] {
    const Products straight = multiply(a, b, before), back = multiply(rows_reversed(a), b, rows_reversed(before));
    EXPECT_TRUE(same_bits(rows_reversed(straight.sum), back.sum) && same_bits(rows_reversed(straight.product), back.product));
    const Products last = multiply(a.row_block(100, 101), b, before.row_block(100, 101));
    EXPECT_TRUE(same_bits(straight.sum.row_block(100, 101), last.sum) && same_bits(straight.product.row_block(100, 101), last.product))
        << "one row alone";
  });
}

TEST(Gemm, SumCutAnywhereInKHasTheSameBits) {
  const Matrix a = normal_matrix(30, 500, 1), b = normal_matrix(500, 40, 2), before = normal_matrix(30, 40, 3);
  for_each_variant([&] {
    Matrix whole = before, parts = before;
    const auto add = [&](Matrix& sum, int64_t first, int64_t end) {
      gemm(30, 40, end - first, a.block(0, 30, first, end).operand(), b.row_block(first, end).operand(), sum.data(), 40, true);
    };
    add(whole, 0, 500);
    add(parts, 0, 166);
    add(parts, 166, 500);
    EXPECT_TRUE(same_bits(whole, parts)) << "two micro-batches differ from one big batch";
    EXPECT_FALSE(same_bits(whole, before)) << "nothing was added";
  });
}

TEST(Gemm, LeavesColumnsBesideItsResultAlone) {
  const Matrix a = normal_matrix(9, 20, 1), b = normal_matrix(20, 35, 2);
  for_each_variant([&] {
    Matrix wide(9, 40);
    std::fill(wide.values.begin(), wide.values.end(), 7.0f);
    gemm(9, 35, 20, a.operand(), b.operand(), wide.data() + 2, 40, false);
    for (int64_t r = 0; r < 9; ++r) {
      for (const int64_t c : {0, 1, 37, 38, 39}) EXPECT_EQ(wide.at(r, c), 7.0f);
    }
    expect_close(wide.block(0, 9, 2, 37), product_in_double(a, b, nullptr), 20);
  });
}

}  // namespace
}  // namespace finback
