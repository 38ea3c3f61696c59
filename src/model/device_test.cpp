#include "model/device.h"

#include <ATen/Context.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

namespace finback {
namespace {

// Torch and the environment as they are when a program begins; put back as the tests of this folder run, poisoned.
class Determinism : public testing::Test {
 protected:
  void SetUp() override {
    ::unsetenv("CUBLAS_WORKSPACE_CONFIG");
    torch_.setDeterministicAlgorithms(false, /*warn_only=*/false);
    torch_.setDeterministicFillUninitializedMemory(true);  // torch's default, without effect until it is deterministic
  }
  void TearDown() override { poison_memory(); }
  static std::string workspace() {
    const char* value = std::getenv("CUBLAS_WORKSPACE_CONFIG");
    return value ? value : "";
  }
  at::Context& torch_ = at::globalContext();
};

TEST_F(Determinism, FixesTheOrderOfCublasAndLeavesFreshMemoryAlone) {
  make_deterministic();
  EXPECT_TRUE(torch_.deterministicAlgorithms());
  EXPECT_FALSE(torch_.deterministicFillUninitializedMemory());
  EXPECT_EQ(workspace(), ":4096:8");
}

TEST_F(Determinism, WithPoisonIsTheSameInBothOrders) {
  for (const bool poison_first : {true, false}) {
    SetUp();
    if (poison_first) poison_memory();
    make_deterministic();
    if (!poison_first) poison_memory();
    EXPECT_TRUE(torch_.deterministicAlgorithms());
    EXPECT_TRUE(torch_.deterministicFillUninitializedMemory());
    EXPECT_EQ(workspace(), ":4096:8") << poison_first;
  }
}

// What --poison alone left out: a run under it is as repeatable as one under --deterministic.
TEST_F(Determinism, OfPoisonAloneCoversCublasToo) {
  poison_memory();
  EXPECT_EQ(workspace(), ":4096:8");
}

TEST_F(Determinism, KeepsTheUsersOwnWorkspace) {
  ::setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8", /*overwrite=*/1);
  make_deterministic();
  EXPECT_EQ(workspace(), ":16:8");
}

}  // namespace
}  // namespace finback
