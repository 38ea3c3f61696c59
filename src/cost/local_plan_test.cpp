#include "cost/local_plan.h"

#include <gtest/gtest.h>

#include "cost/electricity.h"

namespace finback {
namespace {

LocalRun run() {
  LocalRun r;
  r.steps = 100, r.tokens = 100'000, r.token_s = 1e-3, r.update_s = 0.1;
  r.evaluated_tokens = 10'000, r.evaluated_token_s = 4e-4, r.samples = 2, r.sample_s = 0.5, r.checkpoints = 3, r.checkpoint_s = 1;
  r.audits = 4, r.audit_s = 0.25, r.start_s = 1, r.rehearsal_s = 5, r.memory_bytes = 1e9, r.devices = 2;
  return r;
}

TEST(LocalPlan, AddsUpWhatARunDoes) {
  const LocalPlan p = plan_local(run());
  EXPECT_DOUBLE_EQ(p.train_s, 110);
  EXPECT_DOUBLE_EQ(p.evaluate_s, 4);
  EXPECT_DOUBLE_EQ(p.checkpoint_s + p.sample_s + p.other_s, 3 + 1 + 7);
  EXPECT_DOUBLE_EQ(p.wall_hours, 125.0 / 3600);
  EXPECT_DOUBLE_EQ(p.device_hours, 250.0 / 3600);
  EXPECT_DOUBLE_EQ(p.tokens_per_s, 800);
}

TEST(LocalPlan, AnotherLengthHasTheSameSeconds) {
  LocalRun longer;
  longer.steps = 200, longer.tokens = 200'000, longer.evaluated_tokens = 15'000, longer.samples = 4, longer.checkpoints = 5,
  longer.audits = 8;
  const LocalPlan p = plan_other_length(plan_local(run()), longer);
  EXPECT_DOUBLE_EQ(p.train_s, 220);
  EXPECT_DOUBLE_EQ(p.evaluate_s + p.checkpoint_s + p.sample_s, 6 + 5 + 2);
  EXPECT_DOUBLE_EQ(p.other_s, 6 + 2) << "one start, one rehearsal";
  EXPECT_EQ(p.measured.tokens, 200'000);
  EXPECT_EQ(p.memory_bytes, 1e9);
  EXPECT_DOUBLE_EQ(planned_of(p).start_hours, 6.0 / 3600);
}

TEST(LocalPlan, SurvivesItsFile) {
  LocalPlan p = plan_local(run()), read;
  load_fields(read, dump_fields(p), "plan.json");
  EXPECT_EQ(read.wall_hours, p.wall_hours);
  EXPECT_EQ(read.measured.audit_s, 0.25);
}

TEST(Electricity, SaysThatItIsEstimated) {
  const Electricity board = estimated_electricity("h800", 1000), core = estimated_electricity("cpu", 1000);
  EXPECT_NEAR(board.kwh, 700 * kBoardDraw, 1e-9);
  EXPECT_GT(core.kwh, 0.5);
  EXPECT_LT(core.kwh, 10);
  EXPECT_EQ(board.how.rfind("estimated", 0), 0u);
  EXPECT_EQ(core.how.rfind("estimated", 0), 0u);
}

}  // namespace
}  // namespace finback
