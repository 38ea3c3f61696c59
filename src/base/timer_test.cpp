#include "base/timer.h"

#include <gtest/gtest.h>

namespace finback {
namespace {

TEST(HumanText, DurationsCountsAndBytes) {
  EXPECT_EQ(human_duration(43.2), "43 s");
  EXPECT_EQ(human_duration(12 * 60), "12 min");
  EXPECT_EQ(human_duration(3 * 3600 + 5 * 60), "3 h 05 min");
  EXPECT_EQ(human_duration(1.0 / 0.0), "?");
  EXPECT_EQ(human_count(7), "7");
  EXPECT_EQ(human_count(1.23e6), "1.23 M");
  EXPECT_EQ(human_count(45'600), "45.6 k");
  EXPECT_EQ(human_count(671.026e9), "671.0 G");
  EXPECT_EQ(human_figure(0.81554), "0.8155");
  EXPECT_EQ(human_figure(9999), "9999");
  EXPECT_EQ(human_figure(9999.6), "10 k");
  EXPECT_EQ(human_figure(999'960), "1 M");
  EXPECT_EQ(human_figure(5.576e6), "5.576 M");
  EXPECT_EQ(human_figure(-123.44e6), "-123.4 M");
  EXPECT_EQ(human_bytes(512), "512 B");
  EXPECT_EQ(human_bytes(3.5 * 1024 * 1024), "3.5 MiB");
}

TEST(Clock, DatesAreUtcAndSortable) {
  const std::string now = utc_now();
  ASSERT_EQ(now.size(), 20u);
  EXPECT_EQ(now[10], 'T');
  EXPECT_EQ(now.back(), 'Z');
  EXPECT_GT(now, "2024");
  EXPECT_GT(unix_seconds(), 1.7e9);
}

}  // namespace
}  // namespace finback
