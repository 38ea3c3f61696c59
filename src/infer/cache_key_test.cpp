#include "infer/cache_key.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <set>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace finback {
namespace {

namespace fs = std::filesystem;

class CacheKeyTest : public testing::Test {
 protected:
  void SetUp() override {
    folder = fs::path(testing::TempDir()) /
             fmt::format("finback_{}_{}", testing::UnitTest::GetInstance()->current_test_info()->name(), ::getpid());
    fs::create_directories(folder);
  }
  void TearDown() override { fs::remove_all(folder); }
  fs::path folder;
};

CacheSecret counting_secret() {
  CacheSecret secret;
  for (size_t i = 0; i < secret.bytes.size(); ++i) secret.bytes[i] = uint8_t(i);
  return secret;
}

// Python: hmac.new(bytes(range(32)), b"namespace alice", hashlib.sha256), its first 16 bytes as two little-endian words.
TEST_F(CacheKeyTest, ARootIsHmacSha256) {
  const CacheKeys keys(counting_secret());
  EXPECT_EQ(keys.root(""), (CacheKey{0xb239cacad19eb9dd, 0x91a6e0ec2ff42aed}));
  EXPECT_EQ(keys.root("alice"), (CacheKey{0x27715b71106cbdda, 0x9860ac5d05e25be2}));
}

TEST_F(CacheKeyTest, NothingButTheSameSecretNamespaceAndTokensIsTheSameKey) {
  const std::vector<int32_t> a(64, 1), b(64, 2);
  std::set<CacheKey> seen;
  size_t count = 0;
  for (const CacheSecret& secret : {counting_secret(), random_cache_secret(), random_cache_secret()}) {
    const CacheKeys keys(secret);
    for (const char* name : {"", "one", "two"}) {
      for (const auto& first : {a, b}) {
        for (const auto& second : {a, b}) seen.insert(keys.next(keys.next(keys.root(name), first), second)), ++count;
      }
      EXPECT_EQ(keys.next(keys.root(name), a), CacheKeys(secret).next(CacheKeys(secret).root(name), a));
    }
  }
  EXPECT_EQ(seen.size(), count);
}

TEST_F(CacheKeyTest, AFileIsThatOfKeyAndFingerprint) {
  const CacheKeys keys(counting_secret());
  const CacheKey file = keys.file_key({1, 2}, {3, 4});
  EXPECT_EQ(file, keys.file_key({1, 2}, {3, 4}));
  EXPECT_NE(file, keys.file_key({1, 2}, {3, 5}));
  EXPECT_NE(file, keys.file_key({1, 3}, {3, 4}));
  EXPECT_NE(file, CacheKeys(random_cache_secret()).file_key({1, 2}, {3, 4}));
}

TEST_F(CacheKeyTest, ASecretLastsAndIsTheOwnersAlone) {
  const CacheSecret secret = folder_cache_secret(folder);
  EXPECT_EQ(secret.bytes, folder_cache_secret(folder).bytes);
  struct stat status {};
  ASSERT_EQ(::stat((folder / "secret").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), fs::directory_iterator()), 1) << "no temporary file stays";
}

TEST_F(CacheKeyTest, WhoStartAtOnceAgree) {
  for (int round = 0; round < 20; ++round) {
    const fs::path fresh = folder / std::to_string(round);
    fs::create_directories(fresh);
    std::vector<CacheSecret> secrets(8);
    std::vector<std::thread> threads;
    for (CacheSecret& secret : secrets) threads.emplace_back([&] { secret = folder_cache_secret(fresh); });
    for (std::thread& thread : threads) thread.join();
    for (const CacheSecret& secret : secrets) EXPECT_EQ(secret.bytes, secrets[0].bytes);
    EXPECT_EQ(folder_cache_secret(fresh).bytes, secrets[0].bytes);
  }
}

TEST_F(CacheKeyTest, AFileThatIsNoSecretIsRefused) {
  write_file_atomic(folder / "secret", "short");
  EXPECT_THROW(folder_cache_secret(folder), Error);
  EXPECT_THROW(folder_cache_secret(folder / "absent"), Error);
}

}  // namespace
}  // namespace finback
