// The folder of pages: what is found, what is refused, the budget, the order in which pages go, and what killed and careless neighbours leave behind.
// Compiled by itself for ThreadSanitizer, too: no tensors here.
#include "infer/disk_cache.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <memory>

#include "base/error.h"
#include "base/file.h"

namespace finback {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kTestPageBytes = 1000;
const int64_t kTestFileBytes = disk_block_bytes(kTestPageBytes, 0);

DiskBlock block_of(int number) {
  DiskBlock block;
  block.fingerprint = {7, 8}, block.parent = {uint64_t(number), 9};
  block.tokens.fill(number);
  block.page = std::string(size_t(kTestPageBytes), char('a' + number % 26));
  return block;
}
CacheKey file_of(int number) { return {uint64_t(number) * 0x9e3779b97f4a7c15u, uint64_t(number)}; }

class DiskCaches : public testing::Test {
 protected:
  void SetUp() override {
    folder = fs::path(testing::TempDir()) /
             fmt::format("finback_disk_{}_{}", testing::UnitTest::GetInstance()->current_test_info()->name(), ::getpid());
    fs::remove_all(folder);
    open();
  }
  void TearDown() override {
    cache.reset();
    fs::remove_all(folder);
  }
  // As another process would: the one before is gone.
  void open(int64_t files = 100, int64_t queue_bytes = int64_t{1} << 20) {
    cache.reset();
    cache = std::make_unique<DiskCache>(DiskCacheOptions{folder, files * kTestFileBytes, queue_bytes});
    cache->sync();
  }
  bool give(int number) {
    if (!cache->wants(file_of(number), kTestFileBytes)) return false;
    cache->write(file_of(number), block_of(number));
    return true;
  }
  bool has(int number) {
    DiskBlock expected = block_of(number);
    expected.page.clear();
    const auto block = cache->read(file_of(number), expected, kTestPageBytes, 0);
    EXPECT_TRUE(!block || block->page == block_of(number).page) << number;
    return block.has_value();
  }
  std::string which(int count) {
    std::string there;
    for (int i = 0; i < count; ++i) there += fs::exists(path(i)) ? char('0' + i) : '-';
    return there;
  }
  fs::path path(int number) const { return folder / fmt::format("{:016x}{:016x}", file_of(number)[1], file_of(number)[0]); }
  int64_t files() const { return std::distance(fs::directory_iterator(folder), fs::directory_iterator()); }
  void overwrite(int number, const std::string& bytes) const { std::ofstream(path(number), std::ios::binary) << bytes; }

  fs::path folder;
  std::unique_ptr<DiskCache> cache;
};

TEST_F(DiskCaches, WhatWasWrittenIsThereForTheNextProcess) {
  EXPECT_FALSE(has(1));
  EXPECT_TRUE(give(1));
  EXPECT_FALSE(give(1)) << "it is on its way";
  cache->sync();
  EXPECT_TRUE(has(1));
  EXPECT_FALSE(give(1)) << "it is there";
  const CacheKey root = cache->keys().root("x");
  open();
  EXPECT_EQ(cache->keys().root("x"), root);
  EXPECT_TRUE(has(1));
  EXPECT_FALSE(give(1)) << "it was read";
  EXPECT_FALSE(has(2));
  EXPECT_EQ(cache->counters().files, 1);
  EXPECT_EQ(cache->counters().bytes, kTestFileBytes);
  EXPECT_EQ(cache->counters().bytes_read, kTestFileBytes);
}

TEST_F(DiskCaches, WhatWaitsIsWrittenAtAnOrderlyExit) {
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(give(i));
  open();
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(has(i)) << i;
  EXPECT_EQ(files(), 51) << "the pages and the secret, no temporary file";
}

TEST_F(DiskCaches, TheFolderIsItsOwnersAlone) {
  give(1);
  cache->sync();
  struct stat status {};
  ASSERT_EQ(::stat(folder.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700u);
  ASSERT_EQ(::stat(path(1).c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  ASSERT_EQ(::chmod(folder.c_str(), 0755), 0);
  open();
  ASSERT_EQ(::stat(folder.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700u);
}

// Each is a miss, is removed, and can be written again.
TEST_F(DiskCaches, WhatIsNotAsExpectedIsRemoved) {
  const std::string good = encode_disk_block(block_of(1));
  std::string damaged = good;
  damaged[500] = char(damaged[500] ^ 1);
  DiskBlock of_other_weights = block_of(1), behind_another = block_of(1), other_tokens = block_of(1), longer = block_of(1);
  of_other_weights.fingerprint[0] ^= 1, behind_another.parent[1] ^= 1, other_tokens.tokens[63] ^= 1;
  longer.page.pop_back(), longer.trailing = "x";
  const std::vector<std::pair<std::string, std::string>> cases = {{"damaged", damaged},
                                                                  {"cut off", good.substr(0, 700)},
                                                                  {"empty", ""},
                                                                  {"longer", good + "x"},
                                                                  {"of other weights", encode_disk_block(of_other_weights)},
                                                                  {"behind another page", encode_disk_block(behind_another)},
                                                                  {"of other tokens", encode_disk_block(other_tokens)},
                                                                  {"of other parts", encode_disk_block(longer)},
                                                                  {"foreign", std::string(good.size(), 'x')}};
  for (const auto& [what, bytes] : cases) {
    overwrite(1, bytes);
    EXPECT_FALSE(has(1)) << what;
    EXPECT_FALSE(fs::exists(path(1))) << what;
  }
  EXPECT_EQ(cache->counters().refused, int64_t(cases.size()));
  EXPECT_TRUE(give(1));
  cache->sync();
  EXPECT_TRUE(has(1));
}

// A page behind a damaged one is not looked at before it is computed: then it is written, whatever lies there.
TEST_F(DiskCaches, WhatNobodyHasReadIsWrittenAgain) {
  give(1);
  cache->sync();
  overwrite(1, std::string(size_t(kTestFileBytes), 'x'));
  open();
  EXPECT_EQ(cache->counters().files, 1);
  EXPECT_TRUE(give(1));
  cache->sync();
  EXPECT_TRUE(has(1));
  EXPECT_EQ(cache->counters().bytes, kTestFileBytes);
}

TEST_F(DiskCaches, AFileThatVanishedIsAMissAndIsWrittenAgain) {
  give(1);
  cache->sync();
  fs::remove(path(1));
  EXPECT_FALSE(has(1));
  EXPECT_TRUE(give(1));
  cache->sync();
  EXPECT_TRUE(has(1));
}

TEST_F(DiskCaches, TheBudgetIsKeptAtEveryInstantAndTheLongestUnusedGoes) {
  open(4);
  for (int i = 0; i < 4; ++i) give(i);
  cache->sync();
  EXPECT_EQ(which(8), "0123----");
  cache->touch(std::vector<CacheKey>{file_of(0)});
  for (int i = 4; i < 6; ++i) give(i);
  cache->sync();
  EXPECT_EQ(which(8), "0--345--");
  EXPECT_EQ(cache->counters().bytes, 4 * kTestFileBytes);
  for (int i = 10; i < 30; ++i) {
    give(i);
    EXPECT_LE(cache->counters().bytes, 4 * kTestFileBytes);
  }
  cache->sync();
  EXPECT_EQ(files(), 5);
  EXPECT_FALSE(cache->wants(file_of(90), 5 * kTestFileBytes)) << "more than the budget is never written";
}

// A chain 0 <- 1 <- 2 is used from the last to the first, also when its pages are on their way; so what continues a page goes before it.
TEST_F(DiskCaches, LeavesGoBeforeTheirParentsAlsoAfterARestart) {
  open(4);
  give(9);
  cache->sync();
  for (int i = 0; i < 3; ++i) give(i);
  cache->touch(std::vector<CacheKey>{file_of(2), file_of(1), file_of(0)});
  cache->sync();
  EXPECT_EQ(which(3), "012");
  open(4);
  give(5), give(6);  // in the place of 9 and of the leaf
  cache->sync();
  EXPECT_EQ(which(7), "01---56");
  open(4);
  give(7);
  cache->sync();
  EXPECT_EQ(which(8), "0----567");
}

TEST_F(DiskCaches, ASmallerBudgetIsKeptBehindTheFirstWrite) {
  for (int i = 0; i < 8; ++i) give(i);
  open(3);
  give(8);
  cache->sync();
  EXPECT_EQ(which(9), "------678");
}

TEST_F(DiskCaches, AFullQueueIsCountedAndNobodyWaits) {
  open(100, 2 * kTestFileBytes);
  int64_t refused = 0;
  for (int i = 0; i < 100; ++i) refused += !give(i);
  EXPECT_EQ(cache->counters().dropped, refused);
  EXPECT_LE(cache->counters().most_queued_bytes, 2 * kTestFileBytes);
  cache->sync();
  EXPECT_EQ(cache->counters().written, 100 - refused);
}

TEST_F(DiskCaches, WhatAKilledProcessLeftGoesWhenItIsOld) {
  const fs::path old = path(1).string() + ".0123456789abcdef.tmp", young = path(2).string() + ".0123456789abcdef.tmp";
  for (const fs::path& left : {old, young}) std::ofstream(left) << "half a page";
  fs::last_write_time(old, fs::file_time_type::clock::now() - std::chrono::minutes(2));
  open();
  EXPECT_FALSE(fs::exists(old));
  EXPECT_TRUE(fs::exists(young)) << "its process may live";
  std::ofstream(folder / "notes.txt") << "not of the cache";
  give(1);
  open();
  EXPECT_TRUE(fs::exists(folder / "notes.txt"));
  EXPECT_TRUE(has(1));
}

TEST_F(DiskCaches, TwoProcessesShareAFolder) {
  DiskCache other({folder, 100 * kTestFileBytes});
  EXPECT_EQ(other.keys().root("a"), cache->keys().root("a"));
  give(1);
  cache->sync();
  DiskBlock expected = block_of(1);
  expected.page.clear();
  EXPECT_TRUE(other.read(file_of(1), expected, kTestPageBytes, 0));
  EXPECT_FALSE(other.wants(file_of(1), kTestFileBytes)) << "what it read is there";
  EXPECT_TRUE(other.wants(file_of(2), kTestFileBytes));
  other.write(file_of(2), block_of(2));
  other.sync();
  EXPECT_TRUE(has(2));
}

TEST_F(DiskCaches, AFullDiskTurnsItOffWithOneLine) {
  give(1);
  cache->sync();
  arm_failpoint("cache-write:2:full");
  testing::internal::CaptureStderr();
  for (int i = 2; i < 10; ++i) {
    give(i);
    cache->sync();
  }
  const std::string said = testing::internal::GetCapturedStderr();
  arm_failpoint("none:1:full");
  EXPECT_FALSE(cache->on());
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
  EXPECT_NE(said.find("No space left"), std::string::npos) << said;
  EXPECT_FALSE(has(1)) << "off";
  EXPECT_EQ(files(), 3) << "the secret, two pages, no temporary file";
  open();
  EXPECT_TRUE(has(1));
  EXPECT_TRUE(has(2));
}

TEST_F(DiskCaches, AFolderThatCannotBeUsedTurnsItOffWithOneLine) {
  write_file_atomic(folder.string() + ".file", "x");
  testing::internal::CaptureStderr();
  DiskCache off({folder.string() + ".file", 1000});
  const std::string said = testing::internal::GetCapturedStderr();
  fs::remove(folder.string() + ".file");
  EXPECT_FALSE(off.on());
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
  EXPECT_FALSE(off.wants(file_of(1), 10));
  off.sync();
}

// Names appear in the order in which pages were given: at no instant is there a page without the one before it.
TEST_F(DiskCaches, ABeginningHasItsNameFirst) {
  std::atomic<bool> done{false};
  bool gap = false;
  std::thread watcher([&] {
    while (!done) {
      bool behind = false;
      for (int i = 199; i >= 0; --i) {  // from the end: what appears meanwhile can only fill the beginning
        const bool there = fs::exists(path(i));
        gap = gap || (behind && !there);
        behind = behind || there;
      }
    }
  });
  open(1000);
  for (int i = 0; i < 200; ++i) {
    while (!give(i)) cache->sync();
  }
  cache->sync();
  done = true;
  watcher.join();
  EXPECT_FALSE(gap);
}

// One thread gives, reads and touches, as an engine does; another process' removals come in between. For ThreadSanitizer.
TEST_F(DiskCaches, ManyPagesFromOneThreadWhileTheWriterWorks) {
  open(30, 8 * kTestFileBytes);
  std::atomic<bool> done{false};
  std::thread watcher([&] {
    while (!done) {
      fs::remove(path(3));
      EXPECT_LE(cache->counters().bytes, 30 * kTestFileBytes);
    }
  });
  int64_t hits = 0;
  for (int i = 0; i < 600; ++i) {
    give(i % 40);
    hits += has((i * 7) % 40);
    cache->touch(std::vector<CacheKey>{file_of(i % 5), file_of(i % 40)});
    if (i % 100 == 99) cache->sync();
  }
  done = true;
  watcher.join();
  EXPECT_GT(hits, 0);
}

}  // namespace
}  // namespace finback
