#include "base/file_lock.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace finback {
namespace {
namespace fs = std::filesystem;
using std::chrono::milliseconds;

class FileLockTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(root);
    fs::create_directories(root);
  }
  fs::path root = fs::path(testing::TempDir()) / "finback_file_lock", file = root / ".lock";
};

TEST_F(FileLockTest, OneHoldsItAndNothingIsLeft) {
  {
    const FileLock first(file, milliseconds(0));
    EXPECT_TRUE(first.held());
    { EXPECT_FALSE(FileLock(file, milliseconds(20)).held()); }
    EXPECT_TRUE(fs::exists(file)) << "who did not get it removes nothing";
  }
  EXPECT_FALSE(fs::exists(file));
  EXPECT_TRUE(FileLock(file, milliseconds(0)).held());
  EXPECT_THROW(FileLock(root / "no" / ".lock", milliseconds(0)), Error);
}

TEST_F(FileLockTest, AFileThatAKilledProcessLeftIsFree) {
  write_file_atomic(file, "");
  EXPECT_TRUE(FileLock(file, milliseconds(0)).held());
}

// The file is removed and made again all the time here: a lock on one that lost its name would let two count at once. Each object opens the file anew, as
// another process does.
TEST_F(FileLockTest, EveryIncrementUnderItCounts) {
  constexpr int kThreads = 3, kTimes = 40;
  std::atomic<int> count = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int done = 0; done < kTimes;) {
        const FileLock lock(file, milliseconds(0));
        if (!lock.held()) continue;
        const int before = count;
        std::this_thread::yield();
        count = before + 1;
        ++done;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, kThreads * kTimes);
}

}  // namespace
}  // namespace finback
