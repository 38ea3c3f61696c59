#include "kernels/quantized_linear.h"

#include "kernels/fp8_block.h"
#include "kernels/op_check.h"

namespace finback {
namespace {

constexpr uint64_t kQuantizedLinearStamp = 1;
constexpr Precision kQuantized[] = {Precision::kBf16, Precision::kFp8};

struct QuantizedLinearCase {
  int64_t tokens, n, k;
};
// Nothing, one, primes, odd K, one past every tile and past a block of scales, more tokens than dw packs at once.
constexpr QuantizedLinearCase kQuantizedLinearCases[] = {{0, 3, 4},      {1, 1, 1},       {5, 7, 11},      {97, 33, 65},
                                                         {13, 160, 257}, {150, 129, 300}, {1100, 130, 200}};

struct QuantizedGroupedCase {
  const char* what;
  std::vector<int64_t> offsets, tile_boundaries;
};
const QuantizedGroupedCase kGroupedCases[] = {{"no rows", {0, 0, 0, 0}, {0, 0}},
                                              {"an empty group", {0, 5, 5, 103}, {0, 0, 5, 5, 40, 41, 103, 103}},
                                              {"all to one", {0, 0, 190, 190}, {0, 150, 190}},
                                              {"one row each", {0, 1, 2, 3}, {0, 1, 2, 3}}};

at::Tensor stacked(int64_t groups, int64_t n, int64_t k, uint64_t seed) {
  return at::full({groups, n + 2, k}, std::nan("")).slice(1, 0, n).copy_(normal({groups, n, k}, seed));
}

// Sums in f16 round to 11 bits at each of at most 128 terms, and promotion is exact: the bound is that of one range of K with the epsilon of f16, whatever
// the number of ranges. Elsewhere that of f32.
void expect_product(const at::Tensor& actual, const at::Tensor& expected, int64_t terms, Precision precision, const char* what) {
  const bool f16 = kernel_variant() == Variant::kAvx512Fp16 && precision == Precision::kFp8;
  expect_close(actual, expected, f16 ? std::min<int64_t>(terms, 128) : terms, what, f16 ? 1.0 / 4096 : kF32Epsilon);
}

// Forward, dgrad and wgrad under every variant and thread count against the product of the same operands in f64.
void check_three(const at::Tensor& x_TK, const at::Tensor& weight, const at::Tensor& dy_SN, const at::Tensor& dw, const RowGroups& groups) {
  for (const Precision precision : kQuantized) {
    SCOPED_TRACE(precision_name(precision));
    const int64_t terms = std::max({x_TK.size(1), dy_SN.size(0), dy_SN.size(1)});
    const QuantizedRows stored = quantize_rows(x_TK, precision);
    const at::Tensor y = quantized_linear_ref(stored, weight, precision, groups),
                     dx = quantized_linear_dgrad_ref(dy_SN, weight, precision, groups),
                     sum = quantized_linear_wgrad_ref(dw, dy_SN, stored, precision, groups);
    for_each_variant([&] {
      const PackedWeight w = prepared(weight, &kQuantizedLinearStamp, precision);
      Tensors first;
      for (const int threads : {1, 2}) {
        set_threads(threads);
        const QuantizedRows rows = quantize_rows(x_TK, precision);
        const at::Tensor added = dw.clone();
        quantized_linear_wgrad_(added, dy_SN, rows, precision, groups);
        const Tensors out = {quantized_linear(rows, w, groups), quantized_linear_dgrad(dy_SN, w, groups), added};
        expect_product(out[0], y, terms, precision, "y");
        expect_product(out[1], dx, terms, precision, "dx");
        expect_product(out[2], sum, terms, precision, "dw");
        for (size_t i = 0; i < first.size(); ++i) EXPECT_TRUE(same_bits(first[i], out[i])) << "output " << i << " depends on the threads";
        first = out;
      }
    });
  }
}

TEST(QuantizedLinear, IsTheProductOfTheRoundedOperands) {
  for (const QuantizedLinearCase& c : kQuantizedLinearCases) {
    SCOPED_TRACE(fmt::format("{} x {} x {}", c.tokens, c.n, c.k));
    check_three(in_wider(normal({c.tokens, c.k}, 1)), normal({c.n, c.k}, 2), in_wider(normal({c.tokens, c.n}, 3)), normal({c.n, c.k}, 4),
                one_group(c.tokens));
  }
}

TEST(QuantizedLinear, GroupsReadTheirRowsOfTheInput) {
  for (const QuantizedGroupedCase& c : kGroupedCases) {
    SCOPED_TRACE(c.what);
    const int64_t count = c.offsets.back(), n = 33, k = 140;
    check_three(normal({60, k}, 1), stacked(3, n, k, 2), normal({count, n}, 3), normal({3, n, k}, 4),
                {at::tensor(c.offsets), random_ids({count}, 60, 5), at::tensor(c.tile_boundaries), {}});
  }
}

TEST(QuantizedLinear, RowDependsOnItselfAlone) {
  const at::Tensor weight = normal({40, 390}, 2);
  for (const Precision precision : kQuantized) {
    check_rows_alone({normal({101, 390}, 1), normal({101, 40}, 3)}, [&](const Tensors& in) {
      const PackedWeight w = prepared(weight, &kQuantizedLinearStamp, precision);
      const RowGroups groups = one_group(in[0].size(0));
      return Tensors{quantized_linear(quantize_rows(in[0], precision), w, groups), quantized_linear_dgrad(in[1], w, groups)};
    });
  }
}

// Note [Tiles along tokens]: rows of 75 tokens, micro-batches of whole rows; the row behind a boundary begins a tile in both.
TEST(QuantizedLinear, WeightGradientOfMicroBatchesIsThatOfOneBatch) {
  // Tokens of very different size: which of them share a scale decides what of the small ones is left.
  const at::Tensor dy = normal({300, 30}, 1) * at::exp2(at::arange(300).remainder(29)).unsqueeze(1), x = normal({300, 140}, 2);
  for (const Precision precision : kQuantized) {
    for_each_variant([&] {
      const at::Tensor whole = normal({30, 140}, 3), parts = whole.clone(), blind = whole.clone();
      const auto add = [&](const at::Tensor& sum, int64_t first, int64_t end, const std::vector<int64_t>& boundaries) {
        quantized_linear_wgrad_(sum, dy.slice(0, first, end), quantize_rows(x.slice(0, first, end), precision), precision,
                                one_group(end - first, at::tensor(boundaries)));
      };
      add(whole, 0, 300, {0, 75, 150, 225, 300});
      add(parts, 0, 75, {0, 75});
      add(parts, 75, 300, {0, 75, 150, 225});
      EXPECT_TRUE(same_bits(whole, parts)) << precision_name(precision);
      add(blind, 0, 300, {0, 300});
      if (precision != Precision::kFp8) return;
      EXPECT_FALSE(same_bits(whole, blind)) << "tiles that cross rows are other tiles";
    });
  }
}

// Bits of a row in a group are those of the row alone in a plain layer of that group's weight.
TEST(QuantizedLinear, RowDoesNotKnowItsGroup) {
  const at::Tensor x = normal({20, 130}, 1), w_ENK = stacked(3, 33, 130, 2), source_rows_S = random_ids({50}, 20, 3);
  for (const Precision precision : kQuantized) {
    for_each_variant([&] {
      const QuantizedRows stored = quantize_rows(x, precision);
      const at::Tensor y = quantized_linear(stored, prepared(w_ENK, &kQuantizedLinearStamp, precision),
                                            {at::tensor({0, 7, 7, 50}, at::kLong), source_rows_S, {}, {}});
      const at::Tensor alone = quantized_linear(stored, prepared(w_ENK[2], &kQuantizedLinearStamp, precision),
                                                {at::tensor({0, 43}, at::kLong), source_rows_S.slice(0, 7).contiguous(), {}, {}});
      EXPECT_TRUE(same_bits(y.slice(0, 7), alone)) << precision_name(precision);
    });
  }
}

TEST(QuantizedLinear, WgradMayKeepMorePrecisionThanItsInput) {
  const at::Tensor x = normal({70, 40}, 1), dy = normal({70, 30}, 2);
  const QuantizedRows stored = quantize_rows(x, Precision::kFp8);
  const auto error = [&](Precision precision) {
    const at::Tensor dw = at::zeros({30, 40});
    quantized_linear_wgrad_(dw, dy, stored, precision, one_group(70));
    return (dw - at::matmul(dy.t(), dequantize_rows(stored))).norm().item<double>();
  };
  EXPECT_LT(error(Precision::kF32), 1e-3);
  EXPECT_LT(error(Precision::kF32), error(Precision::kBf16));
  EXPECT_LT(error(Precision::kBf16), 0.2 * error(Precision::kFp8));
}

// Gradients of a mean over many tokens are small: a power of two on dy is a power of two on dx and dw, bit for bit.
TEST(QuantizedLinear, SizeOfTheGradientDoesNotMatter) {
  const at::Tensor x = normal({90, 130}, 1), dy = normal({90, 40}, 2), weight = normal({40, 130}, 3);
  for (const Precision precision : kQuantized) {
    for_each_variant([&] {
      const PackedWeight w = prepared(weight, &kQuantizedLinearStamp, precision);
      const QuantizedRows rows = quantize_rows(x, precision);
      const auto products = [&](double factor) {
        const at::Tensor dw = at::zeros({40, 130});
        quantized_linear_wgrad_(dw, dy * factor, rows, precision, one_group(90));
        return Tensors{quantized_linear_dgrad(dy * factor, w, one_group(90)) / factor, dw / factor};
      };
      const Tensors large = products(1), small = products(std::ldexp(1.0, -60));
      EXPECT_TRUE(same_bits(large[0], small[0]) && same_bits(large[1], small[1])) << precision_name(precision);
    });
  }
}

// NaN and infinity of one row reach that row's results only, and none is lost.
TEST(QuantizedLinear, NonFiniteInputsAreSeen) {
  const at::Tensor x = normal({9, 130}, 1), weight = normal({20, 130}, 2);
  x[4][7].fill_(std::nan("")), x[6][129].fill_(INFINITY);
  for (const Precision precision : kQuantized) {
    for_each_variant([&] {
      const at::Tensor y = quantized_linear(quantize_rows(x, precision), prepared(weight, &kQuantizedLinearStamp, precision), one_group(9));
      for (int64_t row = 0; row < 9; ++row) EXPECT_EQ(y[row].isfinite().all().item<bool>(), row != 4 && row != 6) << row;
    });
  }
}

}  // namespace
}  // namespace finback
