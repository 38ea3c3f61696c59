#include "cost/bill_sum.h"

#include <gtest/gtest.h>

namespace finback {
namespace {

Bill bill(const char* device, double hours, double usd, int64_t tokens) {
  Bill b;
  b.device = device, b.device_hours = hours, b.usd = usd, b.tokens = tokens, b.flops = 10;
  return b;
}

TEST(BillSum, AddsUpAndHoldsDevelopmentAgainstTheFinalRun) {
  const BillSum sum = sum_bills({"a", "b", "c"}, {bill("cpu", 1, 2, 100), bill("h200", 4, 30, 50), bill("cpu", 2, 8, 7)}, "b");
  EXPECT_EQ(sum.device_hours.at("cpu"), 3);
  EXPECT_EQ(sum.device_hours.at("h200"), 4);
  EXPECT_EQ(sum.usd, 40);
  EXPECT_EQ(sum.tokens, 157);
  EXPECT_EQ(sum.final_usd, 30);
  EXPECT_EQ(sum.development_usd, 10);
  EXPECT_EQ(bill_sum_json(sum)["runs"].size(), 3u);
  EXPECT_NE(bill_sum_text(sum).find("all of it is 1.33 times the final run"), std::string::npos);
}

TEST(BillSum, OneBillHasNoSum) {
  EXPECT_EQ(bill_sum_text(sum_bills({"a"}, {bill("cpu", 1, 2, 100)}, "a")).find("sum of"), std::string::npos);
}

}  // namespace
}  // namespace finback
