#include "kernels/stored_panels.h"

#include <limits>

#include "kernels/linear.h"
#include "kernels/op_check.h"

namespace finback {
namespace {

constexpr uint64_t kStamp = 1;
constexpr Precision kStorages[] = {Precision::kBf16, Precision::kFp8, Precision::kInt8};

struct StoredPanelsCase {
  int64_t n, k;
};
// One, primes, one past a panel (2, 16, 32 columns), past a block of 32 and of 128, past a block of K in gemm.cpp.
constexpr StoredPanelsCase kCases[] = {{1, 1}, {7, 31}, {33, 33}, {130, 129}, {70, 400}};

PackedWeight stored(const at::Tensor& weight, Precision storage) {
  PackedWeight w(weight, &kStamp);
  w.store(storage);
  return w;
}

// Few rows read panels as they are stored, many widen them: both have the bits of the f32 layer with the stored numbers.
TEST(StoredPanels, ProductsHaveTheBitsOfTheF32NumbersStored) {
  for (const StoredPanelsCase& c : kCases) {
    for (const Precision storage : {Precision::kBf16, Precision::kFp8}) {
      SCOPED_TRACE(fmt::format("{} x {}, storage {}", c.n, c.k, int(storage)));
      const at::Tensor w_NK = normal({c.n, c.k}, 2), x_TK = normal({29, c.k}, 1), dy_TN = normal({29, c.n}, 3);
      const at::Tensor forward_NK = stored_values_ref(w_NK, storage, false), backward_NK = stored_values_ref(w_NK, storage, true);
      for_each_variant([&] {
        const PackedWeight w = stored(w_NK, storage), f32_forward(forward_NK, &kStamp), f32_backward(backward_NK, &kStamp);
        for (const int64_t rows : {1, 2, 3, 7, 8, 9, 29}) {
          const at::Tensor x = x_TK.slice(0, 0, rows), dy = dy_TN.slice(0, 0, rows);
          EXPECT_TRUE(same_bits(linear(x, w), linear(x, f32_forward))) << rows << " rows";
          EXPECT_TRUE(same_bits(linear_dgrad(dy, w), linear_dgrad(dy, f32_backward))) << rows << " rows, backward";
        }
      });
    }
  }
}

// A block's sum is exact; then one rounding of it, of the two scales' product and of the chain a block. Rows have the bits they have alone.
TEST(StoredPanels, Int8IsTheProductOfTheRoundedNumbers) {
  for (const StoredPanelsCase& c : kCases) {
    SCOPED_TRACE(fmt::format("{} x {}", c.n, c.k));
    const at::Tensor w_NK = normal({c.n, c.k}, 2), x_TK = normal({29, c.k}, 1) * at::exp2(normal({29, 1}, 4) * 20);
    const at::Tensor numbers_NK = stored_values_ref(w_NK, Precision::kInt8, false).to(at::kDouble);
    const at::Tensor rounded_TK = int8_activations_ref(x_TK).to(at::kDouble), size_T1 = rounded_TK.norm(2, {1}, true).clamp_min(1e-30);
    const at::Tensor expected = at::matmul(rounded_TK, numbers_NK.t()) / size_T1;
    EXPECT_LE((rounded_TK - x_TK).abs().div(x_TK.abs().amax({1}, true)).max().item<double>(), 0.51 / 32512);
    at::Tensor first;
    for_each_variant([&] {
      const PackedWeight w = stored(w_NK, Precision::kInt8);
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

// The largest and smallest digits, whole tensors of them: sums of a block stay below 2^31.
TEST(StoredPanels, Int8SumsDoNotOverflow) {
  const at::Tensor w_NK = at::full({40, 96}, -3.0f), x_TK = at::full({9, 96}, 5.0f);
  for_each_variant([&] {
    const PackedWeight w = stored(w_NK, Precision::kInt8);
    const at::Tensor expected = at::matmul(x_TK, stored_values_ref(w_NK, Precision::kInt8, false).t());
    for (const float sign : {1.0f, -1.0f}) expect_close(linear(x_TK * sign, w), expected * sign, 96);
  });
}

TEST(StoredPanels, Int8KeepsWhatIsNotFiniteInItsRow) {
  at::Tensor x_TK = normal({12, 70}, 1);
  x_TK[3][40] = std::nanf(""), x_TK[7][2] = std::numeric_limits<float>::infinity();
  for_each_variant([&] {
    const at::Tensor y = linear(x_TK, stored(normal({33, 70}, 2), Precision::kInt8));
    for (int64_t row = 0; row < 12; ++row) EXPECT_EQ(y[row].isfinite().any().item<bool>(), row != 3 && row != 7) << row;
  });
}

TEST(StoredPanels, GroupsAndHeadsReadTheirOwnPanels) {
  const at::Tensor w_ENK = normal({3, 40, 70}, 1), x_SK = normal({20, 70}, 2), x_THK = normal({5, 3, 70}, 3), x_THN = normal({5, 3, 40}, 4);
  const std::vector<int64_t> offsets = {0, 1, 1, 20};
  for (const Precision storage : kStorages) {
    for_each_variant([&] {
      const PackedWeight w = stored(w_ENK, storage);
      const at::Tensor y_SN = grouped_linear(x_SK, w, at::tensor(offsets)), y_THN = heads_linear(x_THK, w),
                       y_THK = heads_linear_t(x_THN, w);
      for (int64_t e = 0; e < 3; ++e) {
        const PackedWeight alone = stored(w_ENK[e], storage);
        const int64_t first = offsets[size_t(e)], end = offsets[size_t(e) + 1];
        EXPECT_TRUE(same_bits(y_SN.slice(0, first, end), linear(x_SK.slice(0, first, end), alone)));
        EXPECT_TRUE(same_bits(y_THN.select(1, e).contiguous(), linear(x_THK.select(1, e), alone)));
        EXPECT_TRUE(same_bits(y_THK.select(1, e).contiguous(), linear_dgrad(x_THN.select(1, e), alone)));
      }
    });
  }
}

// int8: half a step of the block's scale; bf16: 8 bits; E4M3: 4 bits, or half of its smallest step.
TEST(StoredPanels, NumbersStayWithinHalfAStep) {
  const at::Tensor w_NK = normal({50, 300}, 1), magnitude = w_NK.abs();
  const at::Tensor block_max = at::amax(at::constant_pad_nd(magnitude, {0, 20}).view({50, 10, 32}), {2}, true).expand({50, 10, 32});
  const at::Tensor int8_step = block_max.reshape({50, 320}).slice(1, 0, 300) / 127;
  const auto error = [&](Precision storage) { return (stored_values_ref(w_NK, storage, false) - w_NK).abs(); };
  EXPECT_TRUE(error(Precision::kInt8).le(int8_step * 1.01).all().item<bool>());
  EXPECT_LE(error(Precision::kInt8).div(int8_step).mean().item<float>(), 0.26f);
  EXPECT_TRUE(error(Precision::kBf16).le(magnitude * 0x1p-8).all().item<bool>());
  EXPECT_TRUE(error(Precision::kFp8).le(magnitude * 0x1p-4 + magnitude.max() / 448 * 0x1p-10).all().item<bool>());
}

TEST(StoredPanels, ZeroBlocksStayZero) {
  const at::Tensor w_NK = at::zeros({5, 64}), x_TK = normal({2, 64}, 1);
  for (const Precision storage : kStorages) EXPECT_TRUE(linear(x_TK, stored(w_NK, storage)).eq(0).all().item<bool>());
}

TEST(StoredPanels, RefusesNumbersThatTheStorageCannotHold) {
  for (const Precision storage : kStorages) {
    for (const float bad : {std::numeric_limits<float>::infinity(), std::nanf(""), 3.4e38f}) {
      at::Tensor w_NK = normal({3, 40}, 1);
      w_NK[2][39] = bad;
      EXPECT_THROW(store_panels(w_NK, storage, false), Error) << bad;
    }
  }
}

TEST(StoredPanels, FollowTheStampAndTheVariant) {
  uint64_t stamp = 1;
  const at::Tensor w_NK = normal({40, 50}, 1), x_TK = normal({3, 50}, 2);
  PackedWeight w(w_NK, &stamp);
  w.store(Precision::kInt8);
  for_each_variant([&] { EXPECT_TRUE(same_bits(linear(x_TK, w), linear(x_TK, stored(w_NK, Precision::kInt8)))); });
  const at::Tensor before = linear(x_TK, w);
  w_NK.mul_(2);
  EXPECT_TRUE(same_bits(linear(x_TK, w), before));
  ++stamp;
  EXPECT_TRUE(same_bits(linear(x_TK, w), before * 2));
}

}  // namespace
}  // namespace finback
