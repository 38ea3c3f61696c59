#include "tokenizer/stop_text.h"

#include <gtest/gtest.h>

namespace finback {
namespace {

// Whatever the pieces, the text before the first match comes out, once.
TEST(StopText, CutsAtTheFirstMatchHoweverTheTextIsCut) {
  const std::string text = "one two END three END";
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    StopText stopper("END");
    std::string out;
    for (size_t at = 0; at < text.size(); at += piece) out += stopper.push(text.substr(at, piece));
    out += stopper.finish();
    EXPECT_EQ(out, "one two ") << "pieces of " << piece;
    EXPECT_TRUE(stopper.found());
  }
}

TEST(StopText, ReleasesAFalseBeginning) {
  StopText stopper("aab");
  EXPECT_EQ(stopper.push("xa"), "x");
  EXPECT_EQ(stopper.push("a"), "");
  EXPECT_EQ(stopper.push("a"), "a");  // "aaa": the first a can no longer begin "aab"
  EXPECT_EQ(stopper.push("c"), "aac");
  EXPECT_FALSE(stopper.found());
}

TEST(StopText, PassesEverythingWithoutAStopString) {
  StopText stopper("");
  EXPECT_EQ(stopper.push("END"), "END");
  EXPECT_EQ(stopper.finish(), "");
}

}  // namespace
}  // namespace finback
