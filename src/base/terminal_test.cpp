#include "base/terminal.h"

#include <gtest/gtest.h>

#include "base/pace.h"
#include "base/progress.h"

namespace finback {
namespace {

TEST(Terminal, WidthCountsColumnsNotBytes) {
  EXPECT_EQ(display_width("abc"), 3);
  EXPECT_EQ(display_width("naïve"), 5);
  EXPECT_EQ(display_width("漢字"), 4);
  EXPECT_EQ(display_width("a\u0301"), 1);
  EXPECT_EQ(display_width("a\tb\xff"), 4);
}

TEST(Terminal, CutTextIsOneLineOfWholeCharacters) {
  EXPECT_EQ(cut_to_width("abcdef", 6), "abcdef");
  EXPECT_EQ(cut_to_width("abcdef", 5), "abcd…");
  EXPECT_EQ(cut_to_width("漢字漢字", 6), "漢字…");
  EXPECT_EQ(cut_to_width("a\r\nb\033[K", 20), "a  b [K");
  EXPECT_EQ(cut_to_width("abc", 1), "…");
  EXPECT_EQ(cut_to_width("abc", 0), "");
}

TEST(Terminal, ALineLosesWhatMattersLeastFirst) {
  const std::vector<LinePart> parts = {{"step 1/2", 0}, {"50 %", 2}, {"3 s left", 1}, {"loss 1.0", 3}, {"lr 1e-3", 3}};
  EXPECT_EQ(fit_line(parts, 80), "step 1/2  50 %  3 s left  loss 1.0  lr 1e-3");
  EXPECT_EQ(fit_line(parts, 40), "step 1/2  50 %  3 s left  loss 1.0");
  EXPECT_EQ(fit_line(parts, 20), "step 1/2  3 s left");
  EXPECT_EQ(fit_line(parts, 8), "step 1/2");
  EXPECT_EQ(fit_line(parts, 5), "step…");
}

TEST(Terminal, ProgressFitsEveryWidthAndKeepsThePercent) {
  ProgressState state{.what = "counting words of a-folder/with-a-long-name/and-another/text.jsonl.zst",
                      .total = 1234.5,
                      .unit = "MB",
                      .done = 500,
                      .seconds = 60,
                      .rate = 12.3,
                      .seconds_left = 4000,
                      .note = "a note"};
  for (int columns = 4; columns <= 200; ++columns) {
    const std::string line = fit_line(progress_parts(state, false), columns);
    EXPECT_LE(display_width(line), columns);
    EXPECT_NE(line.find("40 %"), std::string::npos) << columns << ": " << line;
  }
  EXPECT_NE(fit_line(progress_parts(state, false), 79).find("67 min left"), std::string::npos);
}

TEST(Pace, StartUpIsNotPartOfTheRate) {
  Pace pace;
  EXPECT_EQ(pace.rate(), 0);
  pace.advance(10, 100);  // start-up
  EXPECT_DOUBLE_EQ(pace.rate(), 0.1);
  EXPECT_GT(pace.seconds_left(500), 1e300);
  for (int i = 0; i < 10; ++i) pace.advance(10, 1);
  EXPECT_NEAR(pace.rate(), 10, 1e-9);
  EXPECT_NEAR(pace.seconds_left(500), 50, 1e-9);
}

TEST(Pace, RecentWorkCountsMore) {
  Pace pace;
  pace.advance(1, 1);
  for (int i = 0; i < 1000; ++i) pace.advance(1, 1);
  for (int i = 0; i < 1000; ++i) pace.advance(1, 0.5);
  EXPECT_GT(pace.rate(), 1.5);
  EXPECT_LT(pace.rate(), 2.0);
}

TEST(Pace, PausesComeAgainInTheSameProportion) {
  Pace pace;
  pace.advance(1, 1);
  for (int i = 0; i < 99; ++i) pace.advance(1, 1);
  pace.pause(50);  // half a second for each second of work
  EXPECT_NEAR(pace.seconds_left(100), 150, 1e-6);
}

TEST(Pace, NothingKnownIsNoTimeAtAll) {
  const Pace pace;
  EXPECT_GT(pace.seconds_left(1), 1e300);
  EXPECT_EQ(pace.seconds_left(0), 0);
}

}  // namespace
}  // namespace finback
