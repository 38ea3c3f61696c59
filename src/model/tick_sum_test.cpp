#include "model/tick_sum.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace finback {
namespace {

TEST(TickSum, AnyCutGivesTheSameInteger) {
  const at::Tensor x_T = at::linspace(0, 11.7, 1009).square();
  const TickSum whole = tick_sum(x_T);
  for (const int64_t cut : {1, 7, 500}) {
    TickSum sum = tick_sum(x_T.slice(0, cut));
    sum += tick_sum(x_T.slice(0, 0, cut));
    EXPECT_EQ(sum.ticks, whole.ticks) << cut;
  }
  EXPECT_NEAR(whole.value(), x_T.to(at::kDouble).sum().item<double>(), 1009 * 0x1p-25);
}

// V3's own batch begins at 62.9 M x ln 129,280 = 740 M nats, where a f64 sum of multiples of 2^-24 rounds already (2^29 nats).
TEST(TickSum, StaysExactBeyondTheMantissaOfF64) {
  TickSum sum;
  sum.add(0x1p30);
  sum.add(0x1p-24);
  sum.add(-0x1p30);
  EXPECT_EQ(sum.ticks, 1);
  EXPECT_EQ(0x1p30 + 0x1p-24 - 0x1p30, 0) << "what a f64 sum would say";
}

TEST(TickSum, WhatNoTickHoldsIsSaidAndNeverWraps) {
  for (const double lost : {std::nan(""), std::numeric_limits<double>::infinity(), 0x1p39, -1e300}) {
    TickSum sum;
    sum.add(1);
    sum.add(lost);
    EXPECT_TRUE(std::isnan(sum.value())) << lost;
  }
  TickSum sum;
  for (int i = 0; i < 2; ++i) sum.add(0x1p38 + 1);
  EXPECT_TRUE(std::isnan(sum.value()));
  TickSum half;
  half.add(0x1p38 + 1);
  TickSum both = half;
  both += half;
  EXPECT_TRUE(std::isnan(both.value()));
}

}  // namespace
}  // namespace finback
