#include "train/router_view.h"

#include <gtest/gtest.h>

namespace finback {
namespace {

TEST(RouterView, ReportsOverloadDeadExpertsAndBiasRange) {
  const RouterStats stats = router_stats({3, {0, 10, 20, 70, 0, 0, 50, 50, 0, 0}}, {0.5f, -0.25f});  // mean 20
  EXPECT_EQ(stats.layer, 3);
  EXPECT_DOUBLE_EQ(stats.load_max, 3.5);
  EXPECT_DOUBLE_EQ(stats.max_vio, 2.5);
  EXPECT_DOUBLE_EQ(stats.load_p10, 0);
  EXPECT_DOUBLE_EQ(stats.load_p50, 0);  // five of ten are at or below 0
  EXPECT_DOUBLE_EQ(stats.load_p90, 2.5);
  EXPECT_EQ(stats.dead, 5);
  EXPECT_DOUBLE_EQ(stats.bias_min, -0.25);
  EXPECT_DOUBLE_EQ(stats.bias_max, 0.5);
}

TEST(RouterView, BalancedLayerHasNoViolation) {
  const RouterStats stats = router_stats({0, {7, 7, 7}}, {});
  EXPECT_DOUBLE_EQ(stats.max_vio, 0);
  EXPECT_DOUBLE_EQ(stats.load_p10, 1);
  EXPECT_EQ(stats.dead, 0);
}

TEST(RouterView, JsonHasOneEntryALayer) {
  const Json json = router_json({router_stats({1, {1, 3}}, {}), router_stats({2, {2, 2}}, {})});
  EXPECT_EQ(json["layer"], Json({1, 2}));
  EXPECT_EQ(json["max_vio"], Json({0.5, 0.0}));
}

}  // namespace
}  // namespace finback
