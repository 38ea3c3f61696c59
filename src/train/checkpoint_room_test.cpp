#include "train/checkpoint_room.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "base/error.h"

namespace finback {
namespace {

namespace fs = std::filesystem;

int64_t at_once(int64_t every, int64_t keep_last, int64_t keep_every, int64_t steps) {
  CheckpointSection section;
  section.every = every, section.keep_last = keep_last, section.keep_every = keep_every;
  return checkpoints_at_once(section, steps);
}

TEST(CheckpointRoom, ANewOneIsWholeBeforeAnOldOneGoes) {
  EXPECT_EQ(at_once(10, 3, 0, 1000), 4);
  EXPECT_EQ(at_once(10, 3, 0, 30), 3);  // a run of three
  EXPECT_EQ(at_once(0, 3, 0, 1000), 1);
  EXPECT_EQ(at_once(10, 1, 100, 1000), 2 + 10);
  EXPECT_EQ(at_once(10, 1, 15, 100), 2 + 3);  // 30, 60, 90
  EXPECT_EQ(at_once(10, 1, int64_t{1} << 62, 100), 2);
  EXPECT_EQ(at_once(10, int64_t{1} << 62, 0, 100), 10);
}

TEST(CheckpointRoom, WhatDoesNotFitIsRefusedBeforeTheFirstStep) {
  const fs::path root = fs::temp_directory_path() / fmt::format("finback-room-{}", ::getpid());
  const ModelConfig shape = load_model_config(FINBACK_SOURCE_DIR "/configs/models/nano");
  TrainConfig config;
  config.train.steps = int64_t{1} << 40, config.checkpoint.every = 1;
  EXPECT_GT(checkpoint_bytes(shape), 1e6);
  check_checkpoint_room(config, shape, root, OpenMode::kNew);
  config.checkpoint.keep_last = int64_t{1} << 39;
  try {
    check_checkpoint_room(config, shape, root, OpenMode::kNew);
    FAIL() << "let through";
  } catch (const Error& e) {
    for (const char* word : {"checkpoint.keep_last", "549755813889 checkpoints", "Hint", "--anyway"})
      EXPECT_NE(std::string(e.what()).find(word), std::string::npos) << e.what();
  }
  EXPECT_FALSE(fs::exists(root)) << "a question leaves nothing behind";
}

}  // namespace
}  // namespace finback
