#include "base/output_place.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"

namespace finback {
namespace {
namespace fs = std::filesystem;

class OutputPlace : public testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(root);
    fs::create_directories(root);
  }
  size_t entries() const { return size_t(std::distance(fs::directory_iterator(root), fs::directory_iterator())); }
  fs::path root = fs::path(testing::TempDir()) / "finback_output_place";
};

TEST_F(OutputPlace, AFileNeedsAFolderAndIsNotMade) {
  check_file_place(root / "new.json");
  check_file_place("/dev/null");
  EXPECT_EQ(entries(), 0u);
  write_file_atomic(root / "old.json", "kept");
  check_file_place(root / "old.json");
  EXPECT_EQ(read_file(root / "old.json"), "kept");
  EXPECT_EQ(entries(), 1u);
  EXPECT_THROW(check_file_place(root), Error);
  EXPECT_THROW(check_file_place(root / "no" / "such.json"), Error);
  EXPECT_THROW(check_file_place(root / "old.json" / "x"), Error);
  EXPECT_THROW(check_file_place("/proc/finback.json"), Error);
}

TEST_F(OutputPlace, AFolderNeedsAFolderSomewhereAboveIt) {
  check_folder_place(root / "a" / "b");
  check_folder_place(root / "a" / "..");
  EXPECT_EQ(entries(), 0u);
  write_file_atomic(root / "file", "");
  EXPECT_THROW(check_folder_place(root / "file"), Error);
  EXPECT_THROW(check_folder_place(root / "file" / "x"), Error);
  EXPECT_THROW(check_folder_place("/proc/finback/x"), Error);
}

TEST_F(OutputPlace, AResultFolderThatGotNothingGoesAgain) {
  { const ResultFolder folder(root / "a" / "b"); }
  EXPECT_EQ(entries(), 0u);
  {
    const ResultFolder folder(root / "a" / "b");
    write_file_atomic(root / "a" / "other", "");
  }
  EXPECT_FALSE(fs::exists(root / "a" / "b"));
  EXPECT_TRUE(fs::exists(root / "a" / "other")) << "another's file stays, and so does its folder";
  { ResultFolder(root / "c").keep(); }
  EXPECT_TRUE(fs::exists(root / "c"));
  { const ResultFolder folder(root / "c"); }
  EXPECT_TRUE(fs::exists(root / "c")) << "it was there before";
}

TEST_F(OutputPlace, AResultFolderIsHeldByOne) {
  {
    const ResultFolder folder(root / "a");
    try {
      const ResultFolder again(root / "a");
      FAIL() << "two write into one folder";
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find("another process is writing into this folder"), std::string::npos) << e.what();
    }
    EXPECT_TRUE(fs::exists(root / "a" / ".lock"));
  }
  EXPECT_EQ(entries(), 0u);
  { ResultFolder(root / "a").keep(); }
  EXPECT_TRUE(fs::is_empty(root / "a")) << "no lock is left in a result";
}

}  // namespace
}  // namespace finback
