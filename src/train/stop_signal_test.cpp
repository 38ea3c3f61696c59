#include "train/stop_signal.h"

#include <gtest/gtest.h>
#include <signal.h>

namespace finback {
namespace {

TEST(StopSignal, FirstSignalOnlyAsksAndTheSecondEndsTheProcess) {
  for (const int number : {SIGINT, SIGTERM}) {
    StopSignal stop;
    EXPECT_FALSE(stop.asked());
    ::raise(number);
    EXPECT_TRUE(stop.asked());
    EXPECT_EXIT(::raise(number), testing::KilledBySignal(number), "");
  }
}

}  // namespace
}  // namespace finback
