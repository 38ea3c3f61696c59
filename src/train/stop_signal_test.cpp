#include "train/stop_signal.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <string>

namespace finback {
namespace {

TEST(StopSignal, FirstSignalOnlyAsksAndTheSecondEndsTheProcess) {
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    StopSignal stop;
    EXPECT_FALSE(stop.asked());
    EXPECT_EQ(stop.number(), 0);
    ::raise(number);
    EXPECT_TRUE(stop.asked());
    EXPECT_EQ(stop.number(), number);
    EXPECT_EXIT(::raise(number), testing::KilledBySignal(number), "");
  }
}

// A terminal's Ctrl-C reaches a script and its child; the script passes it on as SIGTERM.
TEST(StopSignal, AnotherSignalAtOnceIsTheSameWish) {
  StopSignal stop;
  ::raise(SIGINT);
  ::raise(SIGTERM);
  ::raise(SIGHUP);
  EXPECT_EQ(stop.number(), SIGINT);
}

TEST(StopSignal, SaysWhatHappensNextOnce) {
  const StopSignal stop;
  stop.announce("the step is saved");
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const int before = ::dup(STDERR_FILENO);
  ::dup2(ends[1], STDERR_FILENO);
  ::raise(SIGTERM);
  ::raise(SIGINT);
  ::dup2(before, STDERR_FILENO);
  ::close(ends[1]), ::close(before);
  char text[256];
  const ssize_t size = ::read(ends[0], text, sizeof text);
  ::close(ends[0]);
  const std::string said(text, size_t(std::max<ssize_t>(size, 0)));
  EXPECT_TRUE(said.ends_with("stopping: the step is saved\n")) << said;
  EXPECT_EQ(said.find("stopping"), said.rfind("stopping")) << said;
}

TEST(StopSignal, AnIgnoredHangupStaysIgnored) {
  ::signal(SIGHUP, SIG_IGN);  // nohup
  {
    const StopSignal stop;
    ::raise(SIGHUP);
    EXPECT_FALSE(stop.asked());
  }
  ::signal(SIGHUP, SIG_DFL);
}

TEST(StopSignal, AReaderThatWentAwayEndsNothing) {
  const StopSignal stop;
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ::close(ends[0]);
  EXPECT_EQ(::write(ends[1], "x", 1), -1);
  ::close(ends[1]);
  EXPECT_FALSE(stop.asked());
}

}  // namespace
}  // namespace finback
