#include "tokenizer/stop_text.h"

#include <gtest/gtest.h>

namespace finback {
namespace {

// Whatever the pieces, the text before the first match comes out, once.
TEST(StopText, CutsAtTheFirstMatchHoweverTheTextIsCut) {
  const std::string text = "one two END three END";
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    StopText stopper({"END"});
    std::string out;
    for (size_t at = 0; at < text.size(); at += piece) out += stopper.push(text.substr(at, piece));
    out += stopper.finish();
    EXPECT_EQ(out, "one two ") << "pieces of " << piece;
    EXPECT_TRUE(stopper.found());
  }
}

TEST(StopText, ReleasesAFalseBeginning) {
  StopText stopper({"aab"});
  EXPECT_EQ(stopper.push("xa"), "x");
  EXPECT_EQ(stopper.push("a"), "");
  EXPECT_EQ(stopper.push("a"), "a");  // "aaa": the first a can no longer begin "aab"
  EXPECT_EQ(stopper.push("c"), "aac");
  EXPECT_FALSE(stopper.found());
}

// Of several stop strings the one that is complete first counts, not the one that begins first or is named first.
TEST(StopText, OfSeveralTheFirstThatIsCompleteCounts) {
  struct Case {
    std::vector<std::string> stops;
    std::string text, before;
  };
  for (const Case& c : {Case{{"bcdef", "cd"}, "abcdefg", "ab"}, Case{{"cd", "bcd"}, "abcdefg", "a"}, Case{{"bcd", "cd"}, "abcdefg", "a"},
                        Case{{"no", "", "fg"}, "abcdefg", "abcde"}, Case{{"xyz", "gh"}, "abcdefg", "abcdefg"}}) {
    for (size_t piece = 1; piece <= c.text.size(); ++piece) {
      StopText stopper(c.stops);
      std::string out;
      for (size_t at = 0; at < c.text.size(); at += piece) out += stopper.push(c.text.substr(at, piece));
      EXPECT_EQ(out + stopper.finish(), c.before) << c.stops[0] << ", pieces of " << piece;
      EXPECT_EQ(stopper.found(), c.before != c.text);
    }
  }
}

// Held back is what may become any of them.
TEST(StopText, HoldsBackTheLongestBeginningOfAny) {
  StopText stopper({"b", "aab", "\n\n"});
  EXPECT_EQ(stopper.push("xaa"), "x");
  EXPECT_EQ(stopper.push("\n"), "aa");
  EXPECT_EQ(stopper.push("y"), "\ny");
  EXPECT_EQ(stopper.push("b."), "");
  EXPECT_TRUE(stopper.found());
}

TEST(StopText, PassesEverythingWithoutAStopString) {
  StopText stopper({""});
  EXPECT_EQ(stopper.push("END"), "END");
  EXPECT_EQ(stopper.finish(), "");
}

}  // namespace
}  // namespace finback
