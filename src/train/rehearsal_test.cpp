#include "train/rehearsal.h"

#include <gtest/gtest.h>

namespace finback {
namespace {

TrainConfig config() {
  TrainConfig c;
  c.train.steps = 600, c.train.batch_tokens = 2048;
  c.eval.every = 100, c.eval.tokens = 32768, c.eval.sample_every = 200;
  c.checkpoint.every = 200;
  return c;
}

// What the loop does: evaluations behind steps 0, 100, ..., 500 and of the whole split at the end; samples and checkpoints behind 200, 400, 600.
TEST(Rehearsal, CountsWhatTheLoopDoes) {
  const LocalRun run = counted_run(config(), 60000, true);
  EXPECT_EQ(run.tokens, 600 * 2048);
  EXPECT_EQ(run.evaluated_tokens, 6 * 32768 + 60000);
  EXPECT_EQ(run.samples, 3);
  EXPECT_EQ(run.checkpoints, 3);
  EXPECT_EQ(run.audits, 0);
}

TEST(Rehearsal, CountsRemaindersAndTheWholeSplit) {
  TrainConfig c = config();
  c.train.steps = 601, c.train.precision = "fp8", c.eval.tokens = 0, c.checkpoint.every = 0, c.eval.sample_every = 0;
  const LocalRun run = counted_run(c, 60000, true);
  EXPECT_EQ(run.evaluated_tokens, 8 * 60000);
  EXPECT_EQ(run.samples, 1);
  EXPECT_EQ(run.checkpoints, 1);
  EXPECT_EQ(run.audits, 7);
  EXPECT_EQ(counted_run(c, 60000, false).samples, 0);
  c.eval.every = 0;
  EXPECT_EQ(counted_run(c, 60000, true).evaluated_tokens, 60000);
}

}  // namespace
}  // namespace finback
