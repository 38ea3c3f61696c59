#include "kernels/packed_weight.h"

#include "gemm/panels.h"
#include "gemm/quantized_panels.h"
#include "kernels/linear.h"
#include "kernels/op_check.h"
#include "kernels/quantized_linear.h"

namespace finback {
namespace {

constexpr uint64_t kPackedWeightStamp = 1;

// Panels as a matrix again: [panels][K][width] -> [K, N].
at::Tensor of_panels(const float* panels, int64_t k, int64_t n) {
  const int64_t width = panel_width(), count = (n + width - 1) / width;
  const at::Tensor all = at::from_blob(const_cast<float*>(panels), {count, k, width});
  return all.permute({1, 0, 2}).reshape({k, count * width}).slice(1, 0, n).clone();
}

// Where a word of a panel is one number: everywhere in f32, and in the variants that widen what they round.
TEST(PackedWeight, PanelsHoldTheNumbersOfTheReference) {
  for (const auto& [n, k] : {std::pair<int64_t, int64_t>{1, 1}, {33, 7}, {130, 257}}) {
    // Blocks of 128x128 of very different size: with another block's scale a number saturates or vanishes.
    const at::Tensor block_row_N1 = at::arange(n).div(128, "floor").unsqueeze(1), block_column_K = at::arange(k).div(128, "floor");
    const at::Tensor sizes_NK = at::exp2(block_row_N1 * 20 + block_column_K * 30);
    const at::Tensor w_ENK = at::full({2, n + 2, k}, std::nan("")).slice(1, 0, n).copy_(normal({2, n, k}, uint64_t(n)) * sizes_NK);
    for (const Precision precision : {Precision::kF32, Precision::kBf16, Precision::kFp8}) {
      for_each_variant([&] {
        const bool pairs =
            kernel_variant() == Variant::kAvx512Bf16 || (kernel_variant() == Variant::kAvx512Fp16 && precision == Precision::kFp8);
        if (precision != Precision::kF32 && pairs) return;
        const PackedWeight w = prepared(w_ENK, &kPackedWeightStamp, precision);
        for (int64_t e = 0; e < 2; ++e) {
          const at::Tensor numbers_NK = quantized_weight_ref(w_ENK[e].contiguous(), precision);
          const bool f32 = precision == Precision::kF32;
          const float* forward = f32 ? w.forward_panels(e) : as_floats(w.forward_words(e));
          const float* backward = f32 ? w.backward_panels(e) : as_floats(w.backward_words(e));
          EXPECT_TRUE(same_bits(of_panels(forward, k, n), numbers_NK.t().contiguous())) << precision_name(precision);
          EXPECT_TRUE(same_bits(of_panels(backward, n, k), numbers_NK.contiguous())) << precision_name(precision);
        }
      });
    }
  }
}

// Panels are as wide as the variant's tile: a weight that one variant packed serves the next as a fresh one would.
TEST(PackedWeight, FollowsTheVariant) {
  const at::Tensor x_TK = normal({5, 20}, 1), dy_TN = normal({5, 96}, 2), w_NK = normal({96, 20}, 3);
  PackedWeight kept(w_NK, &kPackedWeightStamp);
  for_each_variant([&] {
    kept.prepare();
    const PackedWeight fresh = prepared(w_NK, &kPackedWeightStamp);
    EXPECT_TRUE(same_bits(linear(x_TK, kept), linear(x_TK, fresh))) << kernel_label();
    EXPECT_TRUE(same_bits(linear_dgrad(dy_TN, kept), linear_dgrad(dy_TN, fresh))) << kernel_label();
  });
}

TEST(PackedWeight, FollowsTheVariantThePrecisionAndTheStamp) {
  uint64_t stamp = 1;
  const at::Tensor x = normal({5, 20}, 1), dy = normal({5, 96}, 2), w = normal({96, 20}, 3);
  PackedWeight kept(w, &stamp);
  for_each_variant([&] {
    for (const Precision precision : {Precision::kFp8, Precision::kBf16, Precision::kFp8}) {
      kept.set_precision(precision);
      kept.prepare();
      const auto both = [&](const PackedWeight& weight) {
        return Tensors{quantized_linear(quantize_rows(x, precision), weight, one_group(5)),
                       quantized_linear_dgrad(dy, weight, one_group(5))};
      };
      const Tensors a = both(kept), b = both(prepared(w, &stamp, precision));
      EXPECT_TRUE(same_bits(a[0], b[0]) && same_bits(a[1], b[1])) << kernel_label() << " " << precision_name(precision);
    }
    kept.set_precision(Precision::kF32);
    kept.prepare();
    EXPECT_TRUE(same_bits(linear(x, kept), linear(x, prepared(w, &stamp))));
    w.mul_(1.5), ++stamp;
  });
}

TEST(PackedWeight, RepacksWhenTheStampMoved) {
  uint64_t stamp = 1;
  const at::Tensor x = normal({3, 5}, 1), w = normal({4, 5}, 2);
  for_each_variant([&] {
    PackedWeight packed = prepared(w, &stamp);
    const at::Tensor before = linear(x, packed), d_before = linear_dgrad(before, packed);
    w.mul_(2);
    packed.prepare();
    EXPECT_TRUE(same_bits(linear(x, packed), before)) << "values changed without a stamp are not seen";
    ++stamp;
    packed.prepare();
    EXPECT_TRUE(same_bits(linear(x, packed), before * 2));
    EXPECT_TRUE(same_bits(linear_dgrad(before, packed), d_before * 2));
    w.div_(2);
  });
}

TEST(PackedWeight, PacksTheDirectionsAskedForAlone) {
  for_each_variant([&] {
    PackedWeight w(normal({4, 5}, 1), &kPackedWeightStamp);
    w.prepare({.forward = true, .backward = false});
    EXPECT_TRUE(w.memory(/*backward=*/false).defined());
    EXPECT_FALSE(w.memory(/*backward=*/true).defined());
    const void* forward = w.memory(false).const_data_ptr();
    w.prepare();
    EXPECT_TRUE(w.memory(true).defined());
    EXPECT_EQ(w.memory(false).const_data_ptr(), forward);
  });
}

// A product never reads panels of old values: whoever forgets to prepare is told so.
TEST(PackedWeightDeathTest, IsReadOnlyWhenItIsPrepared) {
  uint64_t stamp = 1;
  const at::Tensor x = normal({3, 5}, 1);
  PackedWeight w(normal({4, 5}, 2), &stamp);
  EXPECT_DEATH(linear(x, w), "prepare");
  w.prepare();
  ++stamp;
  EXPECT_DEATH(linear(x, w), "prepare");
  w.prepare({.forward = true, .backward = false});
  EXPECT_EQ(linear(x, w).size(1), 4);
  EXPECT_DEATH(linear_dgrad(linear(x, w), w), "prepare");
}

TEST(PackedWeight, RefusesPrecisionsThatAreNotBuilt) {
  uint64_t stamp = 1;
  EXPECT_THROW(prepared(normal({2, 2}, 1), &stamp, Precision::kInt8), Error);
}

}  // namespace
}  // namespace finback
