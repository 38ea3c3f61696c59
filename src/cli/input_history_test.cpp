#include "cli/input_history.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "base/file.h"

namespace finback {
namespace {

namespace fs = std::filesystem;

class InputHistoryTest : public testing::Test {
 protected:
  void SetUp() override { fs::remove_all(folder); }
  void TearDown() override { fs::remove_all(folder); }
  fs::path folder = fs::path(testing::TempDir()) / "input_history";
  fs::path file = folder / "deep" / "history";
};

TEST_F(InputHistoryTest, KeepsTextsOfSeveralLinesForTheNextSession) {
  InputHistory first(file);
  first.add("one\ntwo \"quoted\" \\");
  first.add("naïve \xff");
  first.add("naïve \xff");
  ASSERT_EQ(first.entries().size(), 2u);
  EXPECT_EQ(fs::status(file).permissions(), fs::perms::owner_read | fs::perms::owner_write);
  const InputHistory second(file);
  ASSERT_EQ(second.entries().size(), 2u);
  EXPECT_EQ(second.entries()[0], "one\ntwo \"quoted\" \\");
}

TEST_F(InputHistoryTest, LeavesOutWhatItCannotReadAndDoesNotGrowForEver) {
  fs::create_directories(file.parent_path());
  {
    std::ofstream out(file);
    out << "no json\n{}\n";
    for (size_t i = 0; i < 3 * kHistoryEntries; ++i) out << "\"" << i << "\"\n";
    out << "\"torn";
  }
  const InputHistory history(file);
  ASSERT_EQ(history.entries().size(), kHistoryEntries);
  EXPECT_EQ(history.entries().back(), std::to_string(3 * kHistoryEntries - 1));
  const std::string kept = read_file(file);
  EXPECT_EQ(size_t(std::count(kept.begin(), kept.end(), '\n')), kHistoryEntries);
}

TEST_F(InputHistoryTest, AFileThatCannotBeWrittenIsNoEnd) {
  InputHistory history("/dev/null/history");
  history.add("a");
  history.add("b");
  EXPECT_EQ(history.entries().size(), 2u);
}

}  // namespace
}  // namespace finback
