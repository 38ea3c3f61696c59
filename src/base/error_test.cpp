#include "base/error.h"

#include <gtest/gtest.h>

namespace finback {
namespace {

TEST(Check, ThrowsOneLineForAPersonAndNothingOfOurs) {
  try {
    const int got = 3;
    FB_CHECK(got == 2, "expected {}, got {}. Hint: {}", 2, got, "count again");
    FAIL() << "did not throw";
  } catch (const Error& e) {
    EXPECT_STREQ(e.what(), "expected 2, got 3. Hint: count again");
  }
}

TEST(Check, DoesNotFormatWhenItHolds) {
  int formatted = 0;
  const auto costly = [&] { return ++formatted; };
  FB_CHECK(true, "{}", costly());
  EXPECT_EQ(formatted, 0);
}

TEST(Check, UsageErrorsAreErrorsOfAnotherExitCode) {
  EXPECT_THROW(throw UsageError("unknown flag"), Error);
  EXPECT_THROW(FB_FAIL("always"), Error);
}

TEST(AssertDeathTest, EndsTheProcessAndNamesTheInvariant) {
  EXPECT_DEATH(FB_ASSERT(1 + 1 == 3, "page {} freed twice", 7), "broken invariant `1 \\+ 1 == 3` at .*error_test.cpp:.*page 7 freed twice");
}

}  // namespace
}  // namespace finback
