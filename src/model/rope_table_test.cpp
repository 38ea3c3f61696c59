#include "model/rope_table.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

namespace finback {
namespace {

ModelConfig v3_rope(double mscale) {
  ModelConfig config;
  config.qk_nope_head_dim = 128;
  config.qk_rope_head_dim = 64;
  config.max_position_embeddings = 50;
  config.rope_scaling = YarnConfig{40, 4096, 32, 1, mscale, mscale};
  return config;
}

// Numbers of the published formula in double precision.
TEST(RopeTable, YarnGivesThePublishedFrequencies) {
  const double expected[32] = {1.0,
                               0.7498942093324559,
                               0.5623413251903491,
                               0.4216965034285822,
                               0.31622776601683794,
                               0.23713737056616552,
                               0.1778279410038923,
                               0.1333521432163324,
                               0.1,
                               0.07498942093324558,
                               0.05623413251903491,
                               0.03900692656714386,
                               0.026879360111431223,
                               0.01837814621887783,
                               0.01244795587027246,
                               0.008334508951020777,
                               0.0055,
                               0.003561997494329165,
                               0.002249365300761396,
                               0.0013705136361428923,
                               0.0007905694150420946,
                               0.0004149903984907897,
                               0.0001778279410038922,
                               3.33380358040831e-05,
                               2.5e-05,
                               1.8747355233311396e-05,
                               1.4058533129758727e-05,
                               1.0542412585714556e-05,
                               7.905694150420949e-06,
                               5.9284342641541385e-06,
                               4.445698525097306e-06,
                               3.3338035804083097e-06};
  const std::vector<float> inv_freq = rope_inv_freq(v3_rope(1));
  ASSERT_EQ(inv_freq.size(), 32u);
  for (size_t i = 0; i < 32; ++i) EXPECT_NEAR(inv_freq[i] / expected[i], 1, 5e-7) << i;
}

TEST(RopeTable, YarnScalesTheSoftmaxAndNotTheTable) {
  EXPECT_NEAR(v3_rope(1).softmax_scale(), 0.1352337788608801, 1e-12);
  EXPECT_NEAR(v3_rope(0.707).softmax_scale(), 0.1147213867929261, 1e-12);
  const at::Tensor table_SR = rope_table(v3_rope(1), at::kCPU);
  EXPECT_EQ(table_SR.size(0), 50);
  for (const int64_t p : {0, 1, 49}) {
    EXPECT_FLOAT_EQ(table_SR[p][0].item<float>(), float(std::cos(double(p))));
    EXPECT_FLOAT_EQ(table_SR[p][32].item<float>(), float(std::sin(double(p))));
  }
}

TEST(RopeTable, CarriesTheRatioOfUnequalTemperatures) {
  ModelConfig config = v3_rope(1);
  config.rope_scaling->mscale_all_dim = 0;
  EXPECT_FLOAT_EQ(rope_table(config, at::kCPU)[0][0].item<float>(), float(0.1 * std::log(40.0) + 1));
}

TEST(RopeTable, PlainFrequenciesFallGeometrically) {
  ModelConfig config = v3_rope(1);
  config.rope_scaling.reset();
  const std::vector<float> inv_freq = rope_inv_freq(config);
  for (size_t i = 0; i < 32; ++i) EXPECT_NEAR(inv_freq[i] * std::pow(10000.0, double(i) / 32), 1, 5e-7);
}

}  // namespace
}  // namespace finback
