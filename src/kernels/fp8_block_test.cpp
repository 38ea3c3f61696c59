#include "kernels/fp8_block.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/op_check.h"

namespace finback {
namespace {

at::Tensor normal(at::IntArrayRef sizes, uint64_t seed) {
  return at::randn(sizes, at::make_generator<at::CPUGeneratorImpl>(seed), at::TensorOptions(at::kFloat)) * 0.05;
}

int code_at(const at::Tensor& values, int64_t i) { return int(static_cast<const uint8_t*>(values.const_data_ptr())[i]); }

// DeepSeek's rounding: value -> code.
TEST(Fp8Block, CastRoundsToNearestEvenAndSaturates) {
  const std::pair<float, int> cases[] = {
      {0.0f, 0},     {1.0f, 56},    {-1.0f, 184},  {0.1f, 29},        {3.3f, 69},         {17.0f, 88},        {18.0f, 89},    {19.0f, 90},
      {240.0f, 119}, {447.0f, 126}, {448.0f, 126}, {0.001953125f, 1}, {0.0009765625f, 0}, {0.0029296875f, 2}, {0.015625f, 8}, {-0.3f, 170}};
  for (const auto& [value, code] : cases) {
    // 448 in the tile makes the scale exactly 1.
    const Fp8Blocks tile = fp8_quantize_activation(at::tensor({value, 448.0f}).view({1, 2}));
    EXPECT_EQ(tile.scales.item<float>(), 1.0f);
    EXPECT_EQ(code_at(tile.values, 0), code) << value;
  }
}

TEST(Fp8Block, TileMatchesThePublishedRule) {
  at::Tensor x = at::empty({1, 128});
  for (int i = 0; i < 128; ++i) x[0][i].fill_(float(3 * std::sin(double(i))));
  const Fp8Blocks plain = fp8_quantize_activation(x), power = fp8_quantize_activation(x, true);
  EXPECT_EQ(plain.scales.item<float>(), 0.006696362979710102f);
  EXPECT_EQ(power.scales.item<float>(), 0.0078125f);
  const int plain_codes[] = {0, 124, 125, 104, 251, 253, 240, 121}, power_codes[] = {0, 122, 123, 102, 249, 252, 237, 120};
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(code_at(plain.values, i), plain_codes[i]) << i;
    EXPECT_EQ(code_at(power.values, i), power_codes[i]) << i;
  }
}

TEST(Fp8Block, MatchesTheReferenceBitForBit) {
  for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{0, 5}, {5, 0}, {1, 1}, {7, 13}, {128, 128}, {129, 257}, {576, 300}}) {
    const at::Tensor x = normal({rows, columns}, uint64_t(rows * 1000 + columns));
    for (const bool power : {false, true}) {
      const Fp8Blocks weight = fp8_quantize_weight(x, power), weight_ref = fp8_quantize_ref(x, 128, power);
      EXPECT_TRUE(same_bits(weight.values, weight_ref.values)) << rows << "x" << columns;
      EXPECT_TRUE(same_bits(weight.scales, weight_ref.scales)) << rows << "x" << columns;
      const Fp8Blocks tile = fp8_quantize_activation(x, power), tile_ref = fp8_quantize_ref(x, 1, power);
      EXPECT_TRUE(same_bits(tile.values, tile_ref.values) && same_bits(tile.scales, tile_ref.scales)) << rows << "x" << columns;
      const at::Tensor back = fp8_dequantize_weight(weight.values, weight.scales);
      EXPECT_TRUE(same_bits(back, fp8_dequantize_weight_ref(weight.values, weight.scales))) << rows << "x" << columns;
      // Half a step of 3 mantissa bits, or half the smallest step of the block.
      const at::Tensor bound = at::maximum(x.abs() / 16, at::full_like(x, 0.05 * 6 / 448 * (power ? 2 : 1) / 512));
      EXPECT_TRUE((back - x).abs().le(bound * 1.0001).all().item<bool>()) << rows << "x" << columns;
    }
  }
}

TEST(Fp8Block, TakesStridedAndNarrowInputs) {
  const at::Tensor x = normal({140, 260}, 3), view = x.t();
  EXPECT_TRUE(same_bits(fp8_quantize_weight(view).values, fp8_quantize_weight(view.contiguous()).values));
  const at::Tensor bf16 = x.to(at::kBFloat16);
  EXPECT_TRUE(same_bits(fp8_quantize_weight(bf16).values, fp8_quantize_weight(bf16.to(at::kFloat)).values));
}

TEST(Fp8Block, TinyBlocksUseTheScaleFloor) {
  const Fp8Blocks zero = fp8_quantize_weight(at::zeros({3, 3}));
  EXPECT_EQ(zero.scales.item<float>(), 1e-4f / 448.0f);
  EXPECT_TRUE(fp8_dequantize_weight(zero.values, zero.scales).equal(at::zeros({3, 3})));
}

TEST(Fp8Block, NaNStaysWhereItIs) {
  at::Tensor x = normal({130, 130}, 4);
  x[1][2].fill_(std::numeric_limits<float>::quiet_NaN());
  const Fp8Blocks blocks = fp8_quantize_weight(x), ref = fp8_quantize_ref(x, 128, false);
  EXPECT_TRUE(same_bits(blocks.values, ref.values) && same_bits(blocks.scales, ref.scales));
  const at::Tensor back = fp8_dequantize_weight(blocks.values, blocks.scales);
  EXPECT_EQ(back.isnan().sum().item<int64_t>(), 1);
  EXPECT_TRUE(back[1][2].isnan().item<bool>());
}

TEST(Fp8Block, EveryCodeDequantizesToItsValue) {
  at::Tensor codes = at::arange(256, at::kInt).to(at::kByte).view({2, 128});
  const at::Tensor values = codes.view(at::kFloat8_e4m3fn), back = fp8_dequantize_weight(values, at::full({1, 1}, 0.5f));
  const at::Tensor expected = values.to(at::kFloat) * 0.5f;
  EXPECT_TRUE(same_bits(at::nan_to_num(back, 1234), at::nan_to_num(expected, 1234)));
  EXPECT_EQ(back.isnan().sum().item<int64_t>(), 2);  // 0x7f and 0xff
}

}  // namespace
}  // namespace finback
