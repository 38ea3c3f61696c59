#include "train/expert_balance.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <numeric>

namespace finback {
namespace {

TEST(ExpertBalance, OverloadedExpertsGoDownAndUnderloadedUp) {
  const std::vector<float> update = centred_bias_update({10, 0, 5, 5}, 0.5);  // mean 5
  EXPECT_EQ(update, (std::vector<float>{-0.5f, 0.5f, 0.0f, 0.0f}));
}

TEST(ExpertBalance, SignIsDecidedInIntegers) {
  // A mean of 2^53 + 1/3: doubles cannot tell these counts from it.
  const int64_t big = int64_t{1} << 53;
  const std::vector<float> update = centred_bias_update({big, big, big + 1}, 1.0);
  EXPECT_EQ(update, (std::vector<float>{float(1 - 1.0 / 3), float(1 - 1.0 / 3), float(-1 - 1.0 / 3)}));
}

TEST(ExpertBalance, UpdateHasNoMeanSoBiasesCannotDrift) {
  const std::vector<float> update = centred_bias_update({100, 1, 1, 1, 1, 1, 1, 1}, 1e-3);  // seven up, one down
  EXPECT_NEAR(std::accumulate(update.begin(), update.end(), 0.0), 0.0, 1e-9);
  EXPECT_GT(update[1] - update[0], 1.9e-3f);  // the difference, which alone decides a selection, is V3's
}

TEST(ExpertBalance, BalancedLoadChangesNothing) { EXPECT_EQ(centred_bias_update({4, 4, 4}, 1.0), (std::vector<float>{0, 0, 0})); }

TEST(ExpertBalance, CountsOfMicroBatchesAddUp) {
  std::vector<LayerLoad> loads;
  for (int micro = 0; micro < 3; ++micro) {
    RouterLog log;
    log.layers.push_back({1, at::tensor({int64_t{1}, int64_t{2}, int64_t{micro}}), {}, {}});
    log.layers.push_back({4, at::tensor({int64_t{5}, int64_t{0}, int64_t{0}}), {}, {}});
    add_counts(loads, log);
  }
  ASSERT_EQ(loads.size(), 2u);
  EXPECT_EQ(loads[0].counts, (std::vector<int64_t>{3, 6, 3}));
  EXPECT_EQ(loads[1].layer, 4);
  EXPECT_EQ(loads[1].counts, (std::vector<int64_t>{15, 0, 0}));
}

}  // namespace
}  // namespace finback
