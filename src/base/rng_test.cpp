#include "base/rng.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

namespace finback {
namespace {

using Words = std::array<uint32_t, 4>;

// The three published known-answer vectors of philox4x32-10 (Random123). Stream 0 leaves the key as it is.
TEST(Philox, ReproducesThePublishedVectors) {
  const Stream plain = Stream(0);
  EXPECT_EQ(philox(plain, 0, 0), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox(plain, ~uint64_t{0}, ~uint64_t{0}, ~uint32_t{0}, ~uint32_t{0}), (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox(plain, 0x299f31d0'a4093822, 0x85a308d3'243f6a88, 0x13198a2e, 0x03707344),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, EveryPartOfTheKeyMatters) {
  std::set<Words> seen;
  seen.insert(philox(Stream::kTest, 1, 2, 3, 4));
  seen.insert(philox(Stream::kInit, 1, 2, 3, 4));
  seen.insert(philox(Stream::kTest, 2, 2, 3, 4));
  seen.insert(philox(Stream::kTest, 1 + (uint64_t{1} << 32), 2, 3, 4));
  seen.insert(philox(Stream::kTest, 1, 3, 3, 4));
  seen.insert(philox(Stream::kTest, 1, 2 + (uint64_t{1} << 32), 3, 4));
  seen.insert(philox(Stream::kTest, 1, 2, 4, 4));
  seen.insert(philox(Stream::kTest, 1, 2, 3, 5));
  EXPECT_EQ(seen.size(), 8u);
}

TEST(Uniform, StaysBelowOneAtTheLargestWord) {
  EXPECT_EQ(uniform01_double(0, 0), 0.0);
  EXPECT_LT(uniform01_double(~uint32_t{0}, ~uint32_t{0}), 1.0);
  EXPECT_EQ(uniform_below(~uint32_t{0}, ~uint32_t{0}, 7), 6u);
  EXPECT_EQ(uniform_below(0, 0, 7), 0u);
  EXPECT_EQ(uniform_below(~uint32_t{0}, ~uint32_t{0}, ~uint64_t{0}), ~uint64_t{0} - 1);
}

TEST(Normal, IsFiniteAtTheExtremes) {
  for (const uint32_t first : {uint32_t{0}, ~uint32_t{0}}) {
    for (const uint32_t second : {uint32_t{0}, ~uint32_t{0}}) {
      for (const float value : normal_pair(first, second)) EXPECT_TRUE(std::isfinite(value)) << first << " " << second;
    }
  }
}

TEST(Normal, AnElementDependsOnItsIndexAlone) {
  std::vector<float> whole(1003), part(10);
  fill_normal(whole.data(), 1003, 0.02f, Stream::kInit, 1, 5);
  fill_normal(part.data(), 10, 0.02f, Stream::kInit, 1, 5);
  for (size_t i = 0; i < part.size(); ++i) EXPECT_EQ(part[i], whole[i]) << i;
  fill_normal(part.data(), 10, 0.02f, Stream::kInit, 1, 6);
  EXPECT_NE(part[0], whole[0]);
}

// 100,000 draws: the mean's standard error is 0.0032, the variance's 0.0045, the fourth moment's 0.031; five of each.
TEST(Normal, HasTheMomentsOfANormal) {
  std::vector<float> values(100'000);
  fill_normal(values.data(), int64_t(values.size()), 1.0f, Stream::kTest, 1, 0);
  double mean = 0, square = 0, fourth = 0;
  for (const double x : values) mean += x, square += x * x, fourth += x * x * x * x;
  const double n = double(values.size());
  EXPECT_NEAR(mean / n, 0, 0.016);
  EXPECT_NEAR(square / n, 1, 0.023);
  EXPECT_NEAR(fourth / n, 3, 0.16);
}

}  // namespace
}  // namespace finback
