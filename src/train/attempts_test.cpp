#include "train/attempts.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <memory>

#include "base/error.h"
#include "base/file.h"

namespace finback {
namespace {

namespace fs = std::filesystem;

struct Attempts : testing::Test {
  fs::path path = fs::temp_directory_path() / fmt::format("finback-attempts-{}.jsonl", ::getpid());
  void SetUp() override { fs::remove(path); }
  void TearDown() override { fs::remove(path); }
  std::string error_of(bool goes_on) {
    try {
      AttemptLog log(path, 1, Timer(), goes_on);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  }
};

TEST_F(Attempts, EachCountsItsSecondsAndItsOwnDevices) {
  std::ofstream(path)
      << "{\"started\": \"a\", \"devices\": 2, \"seconds\":   10.500}\n{\"started\": \"b\", \"devices\": 4, \"seconds\": 1}\n";
  {
    const AttemptLog log(path, 3, Timer(), true);
    EXPECT_GE(log.seconds(), 11.5);
    EXPECT_LT(log.seconds(), 111.5);
    EXPECT_NEAR(log.device_seconds(), 25 + 3 * (log.seconds() - 11.5), 0.1);
  }
  const std::vector<Attempt> attempts = read_attempts(path);
  ASSERT_EQ(attempts.size(), 3u);
  EXPECT_EQ(attempts[0].seconds, 10.5);
  EXPECT_EQ(attempts[2].devices, 3);
}

// Killed by SIGKILL in the middle of a long step: what it spent is in the file.
TEST_F(Attempts, AKilledOneLeavesItsSeconds) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const AttemptLog log(path, 1, Timer(), false);
    for (;;) ::pause();
  }
  const Timer waited;
  const auto spent = [&] {
    const std::vector<Attempt> attempts = read_attempts(path);
    return attempts.empty() ? 0 : attempts[0].seconds;
  };
  while (spent() < 0.25 && waited.seconds() < 60) ::sched_yield();
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_GE(spent(), 0.25);
  EXPECT_GE(AttemptLog(path, 1, Timer(), true).seconds(), 0.25);
}

TEST_F(Attempts, ATornEndIsCutAndWholeLinesStay) {
  std::ofstream(path) << "{\"started\": \"a\", \"devices\": 1, \"seconds\": 7}\n{\"started\": \"b\", \"dev";
  { const AttemptLog log(path, 1, Timer(), true); }
  const std::vector<Attempt> attempts = read_attempts(path);
  ASSERT_EQ(attempts.size(), 2u);
  EXPECT_EQ(attempts[0].seconds, 7);
  EXPECT_NE(attempts[1].started, "b");
}

TEST_F(Attempts, ALostOrForeignFileIsRefused) {
  EXPECT_NE(error_of(true).find("expected the hours"), std::string::npos);
  EXPECT_EQ(error_of(false), "");
  for (const char* line : {"x\n", "{}\n", "[1]\n", "{\"started\": \"a\", \"devices\": 0, \"seconds\": 7}\n",
                           "{\"started\": \"a\", \"devices\": 1, \"seconds\": -7}\n"}) {
    std::ofstream(path) << line;
    EXPECT_NE(error_of(false).find(path.string() + ":1"), std::string::npos) << line;
  }
}

}  // namespace
}  // namespace finback
