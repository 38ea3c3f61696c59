#include "model/model_folder.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"

namespace finback {
namespace {
namespace fs = std::filesystem;

class ModelFolder : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / fmt::format("finback_model_folder_test_{}", getpid());
    fs::remove_all(root_);
    fs::create_directories(root_ / "run" / "step-000003");
    write_file_atomic(root_ / "run" / "config.toml", "");
  }
  void TearDown() override { fs::remove_all(root_); }
  void finish_checkpoint() const {
    write_file_atomic(root_ / "run" / "step-000003" / "config.json", "{}");
    fs::create_symlink("step-000003", root_ / "run" / "latest");
  }
  static std::string error_of(const fs::path& given) {
    try {
      find_model_folder(given);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  }
  fs::path root_;
};

TEST_F(ModelFolder, ARunFolderMeansItsNewestCheckpointAndThatIsSaidOnce) {
  finish_checkpoint();
  testing::internal::CaptureStderr();
  EXPECT_EQ(find_model_folder(root_ / "run"), root_ / "run" / "step-000003");
  EXPECT_EQ(find_model_folder(root_ / "run"), root_ / "run" / "step-000003");
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("newest checkpoint step-000003"), std::string::npos) << said;
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
  EXPECT_EQ(find_model_folder(root_ / "run" / "latest"), root_ / "run" / "latest");
  EXPECT_EQ(find_tokenizer(root_ / "run"), root_ / "run" / "step-000003");
  EXPECT_EQ(find_tokenizer(root_ / "elsewhere"), root_ / "elsewhere");
  EXPECT_EQ(find_model_or_config(root_ / "run" / "step-000003" / "config.json"), root_ / "run" / "step-000003" / "config.json");
}

// Archives and copies that drop links.
TEST_F(ModelFolder, ARunThatLostItsLinkMeansItsNewestFinishedCheckpoint) {
  const fs::path run = root_ / "run";
  for (const char* name : {"step-000003", "step-000020", "step-1000000", "step-1000001", "step-1000002.tmp"}) {
    fs::create_directories(run / name);
    write_file_atomic(run / name / "config.json", "{}");
    write_file_atomic(run / name / "tokenizer.json", "{}");
    if (std::string(name) != "step-1000001") write_file_atomic(run / name / "DONE", "");
  }
  EXPECT_EQ(find_model_folder(run), run / "step-1000000");
  EXPECT_EQ(find_model_folder(run / "latest"), run / "step-1000000");
  EXPECT_EQ(find_model_or_config(run / "latest"), run / "step-1000000");
  EXPECT_EQ(find_tokenizer(run), run / "step-1000000");
  EXPECT_EQ(find_tokenizer(run / "latest"), run / "step-1000000");
}

TEST_F(ModelFolder, WhatIsNoneIsNamedWithWhatWasProbablyMeant) {
  EXPECT_NE(error_of(root_ / "run").find("without a finished checkpoint"), std::string::npos) << error_of(root_ / "run");
  finish_checkpoint();
  write_file_atomic(root_ / "run" / "step-000003" / "model.safetensors", "x");
  const std::string file = error_of(root_ / "run" / "latest" / "model.safetensors");
  EXPECT_NE(file.find("got a file. Hint: did you mean its folder"), std::string::npos) << file;
  EXPECT_NE(error_of(root_ / "nobody").find("nothing has that name"), std::string::npos);
  EXPECT_THROW(find_model_or_config(root_ / "run" / "latest" / "model.safetensors"), Error);
  fs::create_directories(root_ / "cache" / "snapshots" / "abc");
  EXPECT_EQ(error_of(root_ / "cache").find("did you mean"), std::string::npos);
  write_file_atomic(root_ / "cache" / "snapshots" / "abc" / "config.json", "{}");
  EXPECT_NE(error_of(root_ / "cache").find("did you mean " + (root_ / "cache" / "snapshots" / "abc").string()), std::string::npos);
}

}  // namespace
}  // namespace finback
