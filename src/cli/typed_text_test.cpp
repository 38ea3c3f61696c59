#include "cli/typed_text.h"

#include <gtest/gtest.h>

namespace finback {
namespace {

TEST(TypedText, IsRepairedAndThatIsSaidOnce) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(typed_text("gr\xfc\xdf", "--here"), "gr\uFFFD\uFFFD");
  EXPECT_EQ(typed_text("gr\xfc\xdf", "--here"), "gr\uFFFD\uFFFD");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "--here: bytes that are not UTF-8 are read as U+FFFD, the first at byte 3\n");
}

TEST(TypedText, IsKeptWhereItIsText) {
  testing::internal::CaptureStderr();
  EXPECT_EQ(typed_text("gr\u00fc\u00df \U0001F600", "--here"), "gr\u00fc\u00df \U0001F600");
  EXPECT_EQ(typed_text("", "--here"), "");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace finback
