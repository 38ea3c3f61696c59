#include "kernels/stored_weight.h"

#include <limits>

#include "kernels/linear.h"
#include "kernels/op_check.h"

namespace finback {
namespace {

constexpr uint64_t kStoredWeightStamp = 1;
constexpr Precision kStorages[] = {Precision::kBf16, Precision::kFp8, Precision::kInt8};

struct StoredWeightCase {
  int64_t n, k;
};
// One, primes, one past a panel (2, 16, 32 columns), past a block of 32 and of 128, past a block of K in gemm.cpp.
constexpr StoredWeightCase kStoredWeightCases[] = {{1, 1}, {7, 31}, {33, 33}, {130, 129}, {70, 400}};

// Few rows read panels as they are stored, many widen them: both have the bits of the f32 layer with the stored numbers.
TEST(StoredWeight, ProductsHaveTheBitsOfTheF32NumbersStored) {
  for (const StoredWeightCase& c : kStoredWeightCases) {
    for (const Precision storage : {Precision::kBf16, Precision::kFp8}) {
      SCOPED_TRACE(fmt::format("{} x {}, storage {}", c.n, c.k, int(storage)));
      const at::Tensor w_NK = normal({c.n, c.k}, 2), x_TK = normal({29, c.k}, 1), dy_TN = normal({29, c.n}, 3);
      const at::Tensor forward_NK = stored_values_ref(w_NK, storage, false), backward_NK = stored_values_ref(w_NK, storage, true);
      for_each_variant([&] {
        const StoredWeight w = store_weight(w_NK, storage), w_t = store_weight(w_NK, storage, /*transposed=*/true);
        const PackedWeight f32_forward = prepared(forward_NK, &kStoredWeightStamp),
                           f32_backward = prepared(backward_NK, &kStoredWeightStamp);
        for (const int64_t rows : {1, 2, 3, 7, 8, 9, 29}) {
          const at::Tensor x = x_TK.slice(0, 0, rows), dy = dy_TN.slice(0, 0, rows);
          EXPECT_TRUE(same_bits(linear(x, w), linear(x, f32_forward))) << rows << " rows";
          EXPECT_TRUE(same_bits(linear_dgrad(dy, w_t), linear_dgrad(dy, f32_backward))) << rows << " rows, backward";
        }
      });
    }
  }
}

// A block's sum is exact; then one rounding of it, of the two scales' product and of the chain a block. Rows have the bits they have alone.
TEST(StoredWeight, Int8IsTheProductOfTheRoundedNumbers) {
  for (const StoredWeightCase& c : kStoredWeightCases) {
    SCOPED_TRACE(fmt::format("{} x {}", c.n, c.k));
    const at::Tensor w_NK = normal({c.n, c.k}, 2), x_TK = normal({29, c.k}, 1) * at::exp2(normal({29, 1}, 4) * 20);
    const at::Tensor numbers_NK = stored_values_ref(w_NK, Precision::kInt8, false).to(at::kDouble);
    const at::Tensor rounded_TK = int8_activations_ref(x_TK).to(at::kDouble), size_T1 = rounded_TK.norm(2, {1}, true).clamp_min(1e-30);
    const at::Tensor expected = at::matmul(rounded_TK, numbers_NK.t()) / size_T1;
    EXPECT_LE((rounded_TK - x_TK).abs().div(x_TK.abs().amax({1}, true)).max().item<double>(), 0.51 / 32512);
    at::Tensor first;
    for_each_variant([&] {
      const StoredWeight w = store_weight(w_NK, Precision::kInt8);
      const at::Tensor all = linear(x_TK, w);
      expect_close(all / size_T1, expected, 16);
      if (kernel_variant() != Variant::kPortable) {  // which multiplies, then adds
        if (!first.defined()) first = all;
        EXPECT_TRUE(same_bits(all, first));
      }
      for (const int64_t rows : {1, 2, 3, 7, 8, 9}) {
        EXPECT_TRUE(same_bits(linear(x_TK.slice(0, 29 - rows), w), all.slice(0, 29 - rows))) << rows << " rows";
      }
    });
  }
}

// A file of panels is read by every processor: the panels of one variant are those of all, and each multiplies by them as they lie.
TEST(StoredWeight, Int8PanelsAreThoseOfEveryVariant) {
  const at::Tensor w_NK = normal({70, 61}, 2), x_TK = normal({19, 61}, 1);
  for (const bool transposed : {false, true}) {
    const StoredShape shape = {0, 70, 61, Precision::kInt8, transposed};
    select_kernels("portable");
    const StoredWeight portable = store_weight(w_NK, Precision::kInt8, transposed);
    const at::Tensor dy_TN = normal({19, 70}, 3);
    for_each_variant([&] {
      const StoredWeight own = store_weight(w_NK, Precision::kInt8, transposed), read(shape, portable.memory(), portable.scales());
      EXPECT_TRUE(same_bits(own.memory(), portable.memory()) && same_bits(own.scales(), portable.scales()));
      const auto product = [&](const StoredWeight& w) { return transposed ? linear_dgrad(dy_TN, w) : linear(x_TK, w); };
      EXPECT_TRUE(same_bits(product(read), product(own)));
    });
  }
  select_kernels("auto");
}

// The largest and smallest digits, whole tensors of them: sums of a block stay below 2^31.
TEST(StoredWeight, Int8SumsDoNotOverflow) {
  const at::Tensor w_NK = at::full({40, 96}, -3.0f), x_TK = at::full({9, 96}, 5.0f);
  for_each_variant([&] {
    const StoredWeight w = store_weight(w_NK, Precision::kInt8);
    const at::Tensor expected = at::matmul(x_TK, stored_values_ref(w_NK, Precision::kInt8, false).t());
    for (const float sign : {1.0f, -1.0f}) expect_close(linear(x_TK * sign, w), expected * sign, 96);
  });
}

TEST(StoredWeight, Int8KeepsWhatIsNotFiniteInItsRow) {
  at::Tensor x_TK = normal({12, 70}, 1);
  x_TK[3][40] = std::nanf(""), x_TK[7][2] = std::numeric_limits<float>::infinity();
  for_each_variant([&] {
    const at::Tensor y = linear(x_TK, store_weight(normal({33, 70}, 2), Precision::kInt8));
    for (int64_t row = 0; row < 12; ++row) EXPECT_EQ(y[row].isfinite().any().item<bool>(), row != 3 && row != 7) << row;
  });
}

TEST(StoredWeight, GroupsAndHeadsReadTheirOwnPanels) {
  const at::Tensor w_ENK = normal({3, 40, 70}, 1), x_SK = normal({20, 70}, 2), x_THK = normal({5, 3, 70}, 3), x_THN = normal({5, 3, 40}, 4);
  const std::vector<int64_t> offsets = {0, 1, 1, 20};
  for (const Precision storage : kStorages) {
    for_each_variant([&] {
      const StoredWeight w = store_weight(w_ENK, storage), w_t = store_weight(w_ENK, storage, /*transposed=*/true);
      const at::Tensor y_SN = grouped_linear(x_SK, w, at::tensor(offsets)), y_THN = heads_linear(x_THK, w),
                       y_THK = heads_linear_t(x_THN, w_t);
      for (int64_t e = 0; e < 3; ++e) {
        const StoredWeight alone = store_weight(w_ENK[e], storage), alone_t = store_weight(w_ENK[e], storage, /*transposed=*/true);
        const int64_t first = offsets[size_t(e)], end = offsets[size_t(e) + 1];
        EXPECT_TRUE(same_bits(y_SN.slice(0, first, end), linear(x_SK.slice(0, first, end), alone)));
        EXPECT_TRUE(same_bits(y_THN.select(1, e).contiguous(), linear(x_THK.select(1, e), alone)));
        EXPECT_TRUE(same_bits(y_THK.select(1, e).contiguous(), linear_dgrad(x_THN.select(1, e), alone_t)));
      }
    });
  }
}

// int8: half a step of the block's scale; bf16: 8 bits; E4M3: 4 bits, or half of its smallest step.
TEST(StoredWeight, NumbersStayWithinHalfAStep) {
  const at::Tensor w_NK = normal({50, 300}, 1), magnitude = w_NK.abs();
  const at::Tensor block_max = at::amax(at::constant_pad_nd(magnitude, {0, 20}).view({50, 10, 32}), {2}, true).expand({50, 10, 32});
  const at::Tensor int8_step = block_max.reshape({50, 320}).slice(1, 0, 300) / 127;
  const auto error = [&](Precision storage) { return (stored_values_ref(w_NK, storage, false) - w_NK).abs(); };
  EXPECT_TRUE(error(Precision::kInt8).le(int8_step * 1.01).all().item<bool>());
  EXPECT_LE(error(Precision::kInt8).div(int8_step).mean().item<float>(), 0.26f);
  EXPECT_TRUE(error(Precision::kBf16).le(magnitude * 0x1p-8).all().item<bool>());
  EXPECT_TRUE(error(Precision::kFp8).le(magnitude * 0x1p-4 + magnitude.max() / 448 * 0x1p-10).all().item<bool>());
}

TEST(StoredWeight, ZeroBlocksStayZero) {
  const at::Tensor w_NK = at::zeros({5, 64}), x_TK = normal({2, 64}, 1);
  for (const Precision storage : kStorages) EXPECT_TRUE(linear(x_TK, store_weight(w_NK, storage)).eq(0).all().item<bool>());
}

TEST(StoredWeight, RefusesNumbersThatTheStorageCannotHold) {
  for (const Precision storage : kStorages) {
    for (const float bad : {std::numeric_limits<float>::infinity(), std::nanf(""), 3.4e38f}) {
      at::Tensor w_NK = normal({3, 40}, 1);
      w_NK[2][39] = bad;
      EXPECT_THROW(store_weight(w_NK, storage), Error) << bad;
    }
  }
}

// What a product multiplies by is all that is there: no f32 weight, and panels of one kernel variant tell their numbers under every other.
TEST(StoredWeight, ItsNumbersAreThoseOfTheReference) {
  const at::Tensor w_ENK = normal({3, 130, 70}, 1), w_NK = normal({33, 131}, 2);
  for (const Precision storage : kStorages) {
    SCOPED_TRACE(precision_name(storage));
    // An int8 code has no negative zero.
    const auto same = [&](const at::Tensor& a, const at::Tensor& b) {
      return storage == Precision::kInt8 ? at::equal(a, b) : same_bits(a.contiguous(), b);
    };
    for (const bool transposed : {false, true}) {
      for_each_variant([&] {
        const StoredWeight stacked = store_weight(w_ENK, storage, transposed), alone = store_weight(w_NK, storage, transposed);
        EXPECT_TRUE(same(stacked.numbers(), stored_values_ref(w_ENK, storage, transposed)));
        EXPECT_TRUE(same(alone.numbers(), stored_values_ref(w_NK, storage, transposed)));
        const at::Tensor numbers_NK = alone.numbers().contiguous();
        const std::string variant = kernel_label();
        select_kernels("ref");
        EXPECT_TRUE(same_bits(alone.numbers().contiguous(), numbers_NK));
        select_kernels(variant);
      });
    }
  }
}

// Codes and scales come from anywhere, a file for one.
TEST(StoredWeight, IsMadeOfCodesAlone) {
  const at::Tensor w_NK = normal({40, 150}, 1), x_TK = normal({3, 150}, 2);
  for (const Precision storage : kStorages) {
    for_each_variant([&] {
      const StoredCodes codes = encode_weight(w_NK, storage);
      const StoredCodes copy = {codes.precision, codes.values.clone(), codes.scales.defined() ? codes.scales.clone() : at::Tensor()};
      EXPECT_TRUE(same_bits(linear(x_TK, StoredWeight(copy)), linear(x_TK, store_weight(w_NK, storage))));
    });
  }
}

TEST(StoredWeightDeathTest, IsReadUnderItsVariantAndInItsDirection) {
  const at::Tensor x = normal({3, 40}, 1);
  select_kernels("portable");
  const StoredWeight portable = store_weight(normal({40, 40}, 2), Precision::kBf16);
  EXPECT_DEATH(linear_dgrad(x, portable), "x W");
  select_kernels("auto");
  if (panel_width() != portable.memory().size(3)) {
    EXPECT_DEATH(linear(x, portable), "kernel variant");
  }
}

}  // namespace
}  // namespace finback
