#include "train/energy_counter.h"

#include <gtest/gtest.h>

#include <fstream>

namespace finback {
namespace {
namespace fs = std::filesystem;

class EnergyCounterTest : public testing::Test {
 protected:
  void SetUp() override { fs::remove_all(root_); }
  void TearDown() override { fs::remove_all(root_); }
  void write(const std::string& zone, const std::string& file, int64_t value) const {
    fs::create_directories(root_ / zone);
    std::ofstream(root_ / zone / file) << value << "\n";
  }
  const fs::path root_ = fs::temp_directory_path() / "finback_energy_counter_test";
};

TEST_F(EnergyCounterTest, AddsPackagesWithoutTheirPartsAcrossAWrap) {
  for (const char* zone : {"intel-rapl:0", "intel-rapl:1", "intel-rapl:0:0"}) {
    write(zone, "energy_uj", 900'000'000);
    write(zone, "max_energy_range_uj", 1'000'000'000);
  }
  EnergyCounter counter(root_);
  EXPECT_DOUBLE_EQ(counter.joules().value(), 0);
  write("intel-rapl:0", "energy_uj", 950'000'000);
  write("intel-rapl:0:0", "energy_uj", 990'000'000);
  counter.poll();
  write("intel-rapl:1", "energy_uj", 100'000'000);
  EXPECT_DOUBLE_EQ(counter.joules().value(), 50 + 200);
}

TEST_F(EnergyCounterTest, SaysNothingWhereTheMachineDoesNot) {
  EXPECT_FALSE(EnergyCounter(root_).joules().has_value());
  write("intel-rapl:0", "max_energy_range_uj", 5);
  EXPECT_FALSE(EnergyCounter(root_).joules().has_value());
}

}  // namespace
}  // namespace finback
