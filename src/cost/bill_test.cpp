#include "cost/bill.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/error.h"
#include "cost/prices.h"

namespace finback {
namespace {

TEST(Bill, SettlesHoursShareAndDollars) {
  Bill bill;
  bill.device = "h800";
  bill.devices = 2048;
  bill.wall_hours = 2'788'000.0 / 2048;
  bill.tokens = 1'000'000;
  bill.flops = 1e15;
  bill.peak_flops_per_s = 1e12;
  settle_bill(bill);
  EXPECT_NEAR(bill.usd, 5.576e6, 1);  // V3's own arithmetic: 2.788M hours at 2 USD
  EXPECT_NEAR(bill.usd_per_million_tokens, 5.576e6, 1);
  EXPECT_NEAR(bill.share_of_peak, 1e15 / (bill.wall_hours * 3600 * 1e12), 1e-12);
  settle_bill(bill, 1.0);
  EXPECT_NEAR(bill.usd, 2.788e6, 1);
  EXPECT_EQ(bill.price_source, "the user");
}

// A probe is a moment's; what the run itself reached was reached.
TEST(Bill, NoRunDoesMoreThanItsPeak) {
  Bill bill;
  bill.device = "cpu", bill.wall_hours = 1, bill.flops = 3600 * 120e9, bill.peak_flops_per_s = 114.3e9;
  settle_bill(bill, 0.5);
  EXPECT_EQ(bill.peak_flops_per_s, 120e9);
  EXPECT_EQ(bill.share_of_peak, 1);
  EXPECT_EQ(bill_table(bill).find("104"), std::string::npos);
  EXPECT_NE(bill_table(bill).find("100.0 %"), std::string::npos);
}

TEST(Bill, AnUnfinishedRunSaysSo) {
  Bill bill;
  bill.device = "cpu", bill.wall_hours = 1, bill.planned.tokens = 5;
  EXPECT_EQ(bill_table(bill).find("unfinished"), std::string::npos);
  bill.finished = false, bill.status = "running, step 9 of 600";
  settle_bill(bill, 0.5);
  EXPECT_NE(bill_table(bill).find("running, step 9 of 600"), std::string::npos);
  bill.device_name = "", bill.flops = 0, bill.peak_flops_per_s = 1.5e12;
  EXPECT_EQ(bill_table(bill).find("()"), std::string::npos) << bill_table(bill);
  EXPECT_NE(bill_table(bill).find(" 0 FLOP, "), std::string::npos) << bill_table(bill);
  EXPECT_NE(bill_table(bill).find("(1.50 TFLOP/s; "), std::string::npos) << bill_table(bill);
}

TEST(Bill, HoursOfAttemptsOnOtherThreadCountsStand) {
  Bill bill;
  bill.device = "cpu";
  bill.devices = 8;
  bill.wall_hours = 2;
  bill.device_hours = 1 * 2 + 1 * 8;
  settle_bill(bill, 0.5);
  EXPECT_EQ(bill.device_hours, 10);
  EXPECT_EQ(bill.usd, 5);
}

TEST(Bill, IsHeldAgainstItsPlan) {
  Bill bill;
  bill.device = "cpu", bill.devices = 2, bill.wall_hours = 1, bill.tokens = 3'600'000, bill.peak_memory_bytes = 1 << 30;
  settle_bill(bill, 0.5);
  EXPECT_DOUBLE_EQ(bill.tokens_per_s, 1000);
  EXPECT_GT(bill.energy_kwh, 0);
  EXPECT_NE(bill_table(bill).find("no plan was made"), std::string::npos);
  bill.planned = {3'600'000, 1.1, 2.2, 909, double(1 << 30) / 2};
  const std::string whole = bill_table(bill);
  for (const char* figure : {"+10.0 %", "-9.1 %", "-50.0 %", "1.1 "}) EXPECT_NE(whole.find(figure), std::string::npos) << figure << whole;
  // A stopped run is held to its share.
  bill.planned.tokens = 7'200'000, bill.planned.wall_hours = 1.6, bill.planned.device_hours = 3.2;
  EXPECT_NE(bill_table(bill).find("share of the plan"), std::string::npos);
  EXPECT_NE(bill_table(bill).find("-20.0 %"), std::string::npos);
}

// Two of 100 steps: what they took is the start-up.
TEST(Bill, AStartIsNotComparedWithAPlanOfSteps) {
  Bill bill;
  bill.device = "cpu", bill.devices = 2, bill.wall_hours = 0.12, bill.tokens = 20'000, bill.finished = false;
  bill.planned = {.tokens = 1'000'000, .wall_hours = 1.1, .device_hours = 2.2, .tokens_per_s = 252, .memory_bytes = 1, .start_hours = 0.1};
  settle_bill(bill, 0.5);
  EXPECT_NE(bill_table(bill).find("too few steps to compare with the plan: 2 % of its tokens"), std::string::npos) << bill_table(bill);
  EXPECT_EQ(bill_table(bill).find("predicted"), std::string::npos);
  // Half of the steps are held to the whole start and half of the rest.
  bill.tokens = 500'000, bill.wall_hours = 0.6;
  settle_bill(bill, 0.5);
  EXPECT_NE(bill_table(bill).find("hours                     0.6          0.6    +0.0 %"), std::string::npos) << bill_table(bill);
}

TEST(Bill, KeepsMeasuredElectricity) {
  Bill bill;
  bill.device = "cpu", bill.wall_hours = 1, bill.energy_kwh = 7, bill.energy_how = "measured: x";
  settle_bill(bill);
  EXPECT_EQ(bill.energy_kwh, 7);
}

TEST(Bill, SurvivesItsFile) {
  Bill bill;
  bill.run = "x";
  bill.device = "cpu";
  bill.wall_hours = 0.5;
  settle_bill(bill);
  const auto path = std::filesystem::temp_directory_path() / "finback_bill_test.json";
  write_bill(path, bill);
  const Bill read = read_bill(path);
  EXPECT_EQ(read.usd, bill.usd);
  EXPECT_EQ(read.not_included, bill.not_included);
  std::filesystem::remove(path);
}

TEST(Prices, EveryRowHasSourceAndDate) {
  ASSERT_FALSE(price_table().empty());
  for (const Price& price : price_table()) {
    EXPECT_GT(price.usd_per_hour, 0) << price.device;
    EXPECT_FALSE(price.source.empty() || price.date.empty() || price.what.empty()) << price.device;
  }
  EXPECT_THROW(price_of("abacus"), Error);
}

}  // namespace
}  // namespace finback
