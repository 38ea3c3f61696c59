#include "base/exact_sum.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/rng.h"

namespace finback {
namespace {

double sum_of(const std::vector<double>& numbers) {
  ExactSum sum;
  for (const double x : numbers) sum.add(x);
  return sum.value();
}

// Whole multiples of 2^exponent below 2^62 in size.
std::vector<double> random_numbers(uint64_t seed, int count, int exponent) {
  std::vector<double> numbers;
  for (int i = 0; i < count; ++i) {
    const auto words = philox(Stream::kTest, seed, uint64_t(i));
    const int64_t mantissa = int64_t((uint64_t(words[0]) << 32 | words[1]) >> 12);  // 52 bits
    numbers.push_back(std::ldexp(double(words[2] % 2 ? mantissa : -mantissa), exponent + int(words[3] % 40)));
  }
  return numbers;
}

TEST(ExactSum, IsTheIntegerSumRoundedOnce) {
  for (const int exponent : {-1074, -60, 0, 800}) {
    for (uint64_t seed = 0; seed < 50; ++seed) {
      const std::vector<double> numbers = random_numbers(seed, 997, exponent);
      __int128 exact = 0;  // at most 997 * 2^92
      for (const double x : numbers) {
        int power = 0;
        const double fraction = std::frexp(x, &power);
        const int64_t mantissa = int64_t(std::ldexp(fraction, 53));
        const int shift = power - 53 - exponent;
        exact += shift >= 0 ? static_cast<__int128>(mantissa) << shift : static_cast<__int128>(mantissa >> -shift);
      }
      EXPECT_EQ(sum_of(numbers), std::ldexp(double(exact), exponent)) << "exponent " << exponent << ", seed " << seed;
    }
  }
}

TEST(ExactSum, AnyOrderAndGroupingGivesTheSameBits) {
  std::vector<double> numbers = random_numbers(7, 500, -400);
  for (const double x : random_numbers(8, 500, 300)) numbers.push_back(x);
  const double expected = sum_of(numbers);
  double plain_forward = 0, plain_backward = 0;
  for (const double x : numbers) plain_forward += x;
  std::reverse(numbers.begin(), numbers.end());
  for (const double x : numbers) plain_backward += x;
  EXPECT_NE(plain_forward, plain_backward) << "the numbers are chosen so that a plain sum depends on its order";
  EXPECT_EQ(sum_of(numbers), expected);
  ExactSum parts[3], whole;
  for (size_t i = 0; i < numbers.size(); ++i) parts[i % 3].add(numbers[i]);
  for (const ExactSum& part : parts) whole.add(part);
  EXPECT_EQ(whole.value(), expected);
}

TEST(ExactSum, NothingIsLostToCancellation) {
  EXPECT_EQ(sum_of({1e300, 1, -1e300}), 1);
  EXPECT_EQ(sum_of({1, 0x1p-53, 0x1p-106}), std::nextafter(1.0, 2.0)) << "just above the middle rounds up";
  EXPECT_EQ(sum_of({1, 0x1p-53}), 1) << "the middle rounds to even";
  EXPECT_EQ(sum_of({-1, -0x1p-53, -0x1p-106}), -std::nextafter(1.0, 2.0));
  EXPECT_EQ(sum_of({std::numeric_limits<double>::denorm_min()}), std::numeric_limits<double>::denorm_min());
  EXPECT_EQ(sum_of({}), 0);
  EXPECT_EQ(sum_of({3, -3}), 0);
}

TEST(ExactSum, WhatIsNotFiniteStays) {
  const double inf = std::numeric_limits<double>::infinity();
  EXPECT_TRUE(std::isnan(sum_of({1, std::nan(""), 2})));
  EXPECT_EQ(sum_of({1, inf}), inf);
  EXPECT_TRUE(std::isnan(sum_of({inf, -inf})));
  EXPECT_EQ(sum_of({1.7e308, 1.7e308}), inf);
}

}  // namespace
}  // namespace finback
