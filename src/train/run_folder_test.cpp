#include "train/run_folder.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "base/file.h"

namespace finback {
namespace {

namespace fs = std::filesystem;

struct RunFolderFiles : testing::Test {
  fs::path root = fs::temp_directory_path() / fmt::format("finback-run-{}", ::getpid());
  void SetUp() override { fs::remove_all(root); }
  void TearDown() override { fs::remove_all(root); }
  void make_step(const std::string& name, bool done) {
    fs::create_directories(root / name);
    std::ofstream(root / name / "model.safetensors") << "x";
    if (done) std::ofstream(root / name / "DONE") << "x";
  }
};

TEST_F(RunFolderFiles, NewRunRefusesAFolderThatHasTrained) {
  fs::create_directories(root);
  std::ofstream(root / "metrics.jsonl") << "{\"kind\": \"eval\"}\n{\"kind\": \"step\", \"step\": 1}\n{\"kind\"";
  try {
    RunFolder run(root, OpenMode::kNew);
    FAIL() << "opened";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("metrics.jsonl"), std::string::npos);
    EXPECT_NE(std::string(e.what()).find("--resume"), std::string::npos);
  }
  EXPECT_TRUE(fs::exists(root / "metrics.jsonl"));
}

TEST_F(RunFolderFiles, NewRunRefusesACheckpointAndForeignFiles) {
  make_step("step-000000", true);
  EXPECT_THROW(RunFolder(root, OpenMode::kNew), Error);
  fs::remove_all(root);
  fs::create_directories(root);
  std::ofstream(root / "notes.md") << "mine";
  EXPECT_THROW(RunFolder(root, OpenMode::kNew), Error);
}

TEST_F(RunFolderFiles, AFailedStartIsNotInTheWayAndKeepsItsHours) {
  make_step("step-000000.tmp", false);
  for (const char* name : {"attempts.jsonl", "config.toml", "model.json", "plan.json", ".lock", "log.txt"})
    std::ofstream(root / name) << "x";
  std::ofstream(root / "metrics.jsonl") << "{\"kind\": \"eval\"}\n";
  RunFolder run(root, OpenMode::kNew);
  run.clear();
  EXPECT_TRUE(fs::exists(root / "attempts.jsonl"));
  for (const char* name : {"plan.json", "metrics.jsonl", "step-000000.tmp"}) EXPECT_FALSE(fs::exists(root / name)) << name;
}

TEST_F(RunFolderFiles, OverwriteRemovesARunAndNothingElseAndNotBeforeItIsToldTo) {
  make_step("step-000010", true);
  for (const char* name : {"config.toml", "model.json", "attempts.jsonl", "log.txt", "metrics.jsonl", "bill.json", "notes.md"})
    std::ofstream(root / name) << "x";
  RunFolder run(root, OpenMode::kOverwrite);
  EXPECT_TRUE(fs::exists(root / "step-000010" / "DONE"));
  EXPECT_TRUE(fs::exists(root / "bill.json"));
  run.clear();
  for (const char* name : {"step-000010", "attempts.jsonl", "log.txt", "metrics.jsonl", "bill.json"})
    EXPECT_FALSE(fs::exists(root / name)) << name;
  // The recipe may be what the new run is started from: it is replaced, later.
  for (const char* name : {"config.toml", "model.json", "notes.md"}) EXPECT_TRUE(fs::exists(root / name)) << name;
}

TEST_F(RunFolderFiles, AHeldRunIsToldFromOneThatNobodyTrains) {
  EXPECT_FALSE(run_is_held(root));
  {
    RunFolder run(root, OpenMode::kNew);
    EXPECT_TRUE(run_is_held(root));
  }
  EXPECT_FALSE(run_is_held(root));
}

TEST_F(RunFolderFiles, TwoProcessesCannotHoldOneRun) {
  RunFolder first(root, OpenMode::kNew);
  EXPECT_THROW(RunFolder(root, OpenMode::kResume), Error);
}

TEST_F(RunFolderFiles, ResumeSeesFinishedCheckpointsOnlyAndRemovesTheRest) {
  make_step("step-000010", true);
  make_step("step-000020", false);
  make_step("step-000030.tmp", true);
  make_step("step-1234567", true);
  make_step("step-0000040", true);  // not a name that a run writes
  EXPECT_EQ(finished_steps(root), (std::vector<int64_t>{10, 1234567}));
  RunFolder run(root, OpenMode::kResume);
  EXPECT_TRUE(fs::exists(root / "step-000020"));
  run.clear();
  EXPECT_FALSE(fs::exists(root / "step-000020"));
  EXPECT_FALSE(fs::exists(root / "step-000030.tmp"));
  EXPECT_TRUE(fs::exists(root / "step-000010" / "DONE"));
}

TEST_F(RunFolderFiles, LatestIsReplacedAndRelative) {
  make_step("step-000010", true);
  make_step("step-000020", true);
  point_latest(root, 10);
  point_latest(root, 20);
  EXPECT_EQ(fs::read_symlink(root / "latest"), "step-000020");
}

// cp -rL and the like: latest is a folder then.
TEST_F(RunFolderFiles, ACopiedCheckpointNamedLatestBecomesTheLink) {
  for (const char* name : {"step-000010", "step-000020"}) {
    make_step(name, true);
    write_file_atomic(root / name / "trainer.json", name);
  }
  fs::copy(root / "step-000010", root / "latest", fs::copy_options::recursive);
  point_latest(root, 20);
  EXPECT_EQ(fs::read_symlink(root / "latest"), "step-000020");

  fs::remove(root / "latest");
  fs::create_directories(root / "latest");
  write_file_atomic(root / "latest" / "trainer.json", "the only copy of another step");
  try {
    point_latest(root, 20);
    FAIL() << "somebody's folder is gone";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("no copy of one. Hint: rename it"), std::string::npos) << e.what();
  }
  EXPECT_TRUE(fs::exists(root / "latest" / "trainer.json"));
  EXPECT_FALSE(fs::exists(fs::symlink_status(root / "latest.tmp")));
}

TEST(RunFolder, RetentionKeepsTheNewestAndTheMilestones) {
  EXPECT_EQ(kept_steps({0, 10, 20, 30, 40, 50}, 2, 0), (std::vector<int64_t>{40, 50}));
  EXPECT_EQ(kept_steps({0, 10, 20, 30, 40, 50}, 1, 20), (std::vector<int64_t>{20, 40, 50}));
  EXPECT_EQ(kept_steps({}, 1, 20), (std::vector<int64_t>{}));
}

TEST_F(RunFolderFiles, RetainRemovesWhatItDoesNotKeep) {
  for (const char* name : {"step-000010", "step-000020", "step-000030"}) make_step(name, true);
  retain(root, 1, 20);
  EXPECT_EQ(finished_steps(root), (std::vector<int64_t>{20, 30}));
  EXPECT_FALSE(fs::exists(root / "step-000010"));
}

}  // namespace
}  // namespace finback
