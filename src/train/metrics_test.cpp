#include "train/metrics.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/file.h"

namespace finback {
namespace {

namespace fs = std::filesystem;

struct Metrics : testing::Test {
  fs::path path = fs::temp_directory_path() / fmt::format("finback-metrics-{}.jsonl", ::getpid());
  void SetUp() override { fs::remove(path); }
  void TearDown() override {
    arm_failpoint("none:1:kill");
    fs::remove(path);
  }
};

TEST_F(Metrics, ResumeCutsWhatCameAfterTheCheckpoint) {
  uint64_t at_checkpoint = 0;
  {
    MetricsLog log(path, 0, "this one");
    log.append({{"step", 1}});
    at_checkpoint = log.size();
    log.append({{"step", 2}});
  }
  std::ofstream(path, std::ios::app) << "{\"step\": 3, \"elap";  // a write cut by a kill
  MetricsLog log(path, at_checkpoint, "another");
  log.append({{"step", 2}});
  EXPECT_EQ(read_file(path), "{\"step\":1,\"machine\":\"this one\"}\n{\"step\":2,\"machine\":\"another\"}\n");
}

TEST_F(Metrics, RefusesAFileThatLostLinesOfTheCheckpoint) {
  std::ofstream(path) << "{}\n";
  try {
    MetricsLog log(path, 100, "a machine");
    FAIL() << "opened";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("at least 100 bytes"), std::string::npos) << e.what();
  }
}

TEST_F(Metrics, FullDiskLeavesWholeLinesOnly) {
  for (const char* action : {"full", "short"}) {
    fs::remove(path);
    MetricsLog log(path, 0, "a machine");
    log.append({{"step", 1}});
    arm_failpoint(fmt::format("metrics:1:{}", action));
    EXPECT_THROW(log.append({{"step", 2}}), Error);
    EXPECT_EQ(read_file(path), "{\"step\":1,\"machine\":\"a machine\"}\n");
  }
}

}  // namespace
}  // namespace finback
