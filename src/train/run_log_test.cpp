#include "train/run_log.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/file.h"

namespace finback {
namespace {

namespace fs = std::filesystem;

TEST(RunLog, KeepsWhatWasSaidBeforeItIsOpenAndIsAppendedTo) {
  const fs::path path = fs::temp_directory_path() / ("finback-log-" + std::to_string(::getpid()));
  fs::remove(path);
  for (const char* attempt : {"first", "second"}) {
    RunLog log;
    log.line(std::string(attempt) + " warning");
    EXPECT_EQ(fs::exists(path), std::string(attempt) == "second");
    log.open(path);
    log.line(std::string(attempt) + " step");
  }
  const std::string text = read_file(path);
  fs::remove(path);
  size_t at = 0;
  for (const char* line : {"Z  first warning\n", "Z  first step\n", "Z  second warning\n", "Z  second step\n"}) {
    const size_t found = text.find(line);
    EXPECT_NE(found, std::string::npos) << line << text;
    EXPECT_GE(found, at);
    at = found;
  }
}

TEST(RunLog, AFullDiskIsNoHarm) {
  RunLog log;
  log.open("/dev/full");
  log.line("lost");
  log.line("lost too");
}

}  // namespace
}  // namespace finback
