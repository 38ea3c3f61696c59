#include "train/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

namespace finback {
namespace {

constexpr int64_t kTrillion = 1'000'000'000'000;

// DeepSeek-V3 section 4.2: 2.2e-4 to 10T tokens, cosine to 2.2e-5 over 4.3T, 2.2e-5 for 333B, 7.3e-6 for 167B.
TEST(Schedule, FollowsTheV3ReportAtItsPublishedTokens) {
  const ScheduleSection schedule;
  struct Point {
    double tokens, lr;
  };
  for (const Point point : {Point{1e12, 2.2e-4},
                            {1e13, 2.2e-4},
                            {1.1075e13, 0.0001910035713374682},
                            {1.215e13, 1.21e-4},
                            {1.3225e13, 5.0996428662531806e-05},
                            {1.43e13, 2.2e-5},
                            {1.45e13, 2.2e-5},
                            {1.47e13, 7.3e-6}}) {
    const Age age{200000, int64_t(point.tokens), 14800 * kTrillion / 1000};
    EXPECT_NEAR(learning_rate(schedule, 2.2e-4, age), point.lr, 1e-12) << point.tokens;
  }
}

TEST(Schedule, WarmsUpLinearlyAndReachesThePeakAtItsLastStep) {
  ScheduleSection schedule;
  schedule.warmup_steps = 4;
  for (const char* kind : {"v3", "wsd", "cosine", "constant"}) {
    schedule.kind = kind;
    EXPECT_DOUBLE_EQ(learning_rate(schedule, 1e-3, {0, 0, 10000}), 0.25e-3);
    EXPECT_DOUBLE_EQ(learning_rate(schedule, 1e-3, {3, 30, 10000}), 1e-3);
    EXPECT_DOUBLE_EQ(learning_rate(schedule, 1e-3, {4, 40, 10000}, 40), 1e-3);
  }
}

TEST(Schedule, CosineEndsAtItsMinimum) {
  ScheduleSection schedule{.kind = "cosine", .warmup_steps = 0, .min_share = 0.1};
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 1, {5, 500, 1000}), 0.55);
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 1, {10, 1000, 1000}), 0.1);
}

TEST(Schedule, WsdFallsLinearlyInItsLastShare) {
  ScheduleSection schedule{.kind = "wsd", .warmup_steps = 0, .min_share = 0, .decay_share = 0.5};
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 1, {1, 500, 1000}), 1);
  EXPECT_DOUBLE_EQ(learning_rate(schedule, 1, {1, 750, 1000}), 0.5);
  EXPECT_NEAR(learning_rate(schedule, 1, {1, 1000, 1000}), 0, 1e-15);
}

TEST(Schedule, RampGrowsInWholeRowsWhateverTheMicroBatchAndCountsItsTokens) {
  TrainSection train;
  train.batch_tokens = 1024;
  train.micro_batch_tokens = 128;
  train.ramp_from_tokens = 256;
  train.ramp_tokens = 10000;
  TrainSection other_cut = train;
  int64_t seen = 0, before = 0;
  for (int step = 0; step < 40; ++step) {
    const int64_t now = batch_tokens(train, 64, seen);
    EXPECT_EQ(now % 64, 0);
    other_cut.micro_batch_tokens = 64 * (1 + step % 5);
    EXPECT_EQ(batch_tokens(other_cut, 64, seen), now);
    EXPECT_GE(now, before);
    EXPECT_TRUE(seen < 10000 || now == 1024);
    EXPECT_EQ(tokens_of_steps(train, 64, step), seen);
    seen += now;
    before = now;
  }
  EXPECT_EQ(batch_tokens(train, 64, 0), 256);
  EXPECT_EQ(batch_tokens(train, 64, 5000), 640);
  EXPECT_EQ(batch_tokens(train, 64, 5100), 640) << "645 tokens are ten rows";
  EXPECT_EQ(batch_tokens(train, 64, 6000), 704) << "five and a half micro-batches";
}

TEST(Schedule, TokensAreRoundedUpToAWholeStep) {
  TrainSection train;
  train.batch_tokens = 1000;
  train.tokens = 2500;
  EXPECT_EQ(run_length(train, 10).tokens, 3000);
  EXPECT_EQ(run_length(train, 10).steps, 3);
  train.tokens = 0;
  train.steps = 7;
  EXPECT_EQ(run_length(train, 10).tokens, 7000);
}

TEST(Schedule, MtpWeightAndBiasSpeedSwitchAtTheirShares) {
  TrainSection train;
  const Age early{0, 9999 * kTrillion / 1000, 14800 * kTrillion / 1000}, late{0, 10001 * kTrillion / 1000, 14800 * kTrillion / 1000};
  EXPECT_EQ(mtp_lambda(train, early), 0.3);
  EXPECT_EQ(mtp_lambda(train, late), 0.1);
  EXPECT_EQ(bias_update_speed(train, late), 0.001);
  EXPECT_EQ(bias_update_speed(train, Age{0, 14301 * kTrillion / 1000, 14800 * kTrillion / 1000}), 0);
}

// A run may be made longer as long as no step so far depended on where it ends, and no step further.
TEST(Schedule, ALongerRunIsAnotherOneFromTheFirstStepThatDependsOnTheEnd) {
  ModelConfig shape = load_model_config(FINBACK_SOURCE_DIR "/configs/models/nano");
  shape.num_nextn_predict_layers = 1;
  TrainConfig a;
  a.train.steps = 100, a.train.batch_tokens = 256, a.schedule.warmup_steps = 5;
  a.train.mtp_lambda_late = a.train.mtp_lambda, a.train.bias_update_stop = 1;
  const auto apart = [&](auto change, int64_t steps = 100) {
    TrainConfig x = a;
    change(x);
    TrainConfig y = x;
    y.train.steps = 150;
    return first_step_apart(x, y, shape, steps);
  };
  EXPECT_EQ(apart([](TrainConfig& c) { c.schedule.kind = "constant"; }), std::nullopt);
  // Linear over the last fifth: step 81 is at 80 %, with the full rate still.
  const auto wsd = [](TrainConfig& c) { c.schedule.kind = "wsd", c.schedule.decay_share = 0.2; };
  EXPECT_EQ(apart(wsd), 82);
  EXPECT_EQ(apart(wsd, 81), std::nullopt);
  EXPECT_EQ(apart([](TrainConfig& c) { c.schedule.kind = "cosine"; }), 7);
  EXPECT_EQ(apart([](TrainConfig& c) { c.schedule.kind = "constant", c.train.mtp_lambda_late = 0, c.train.mtp_switch = 0.5; }), 51);
  EXPECT_EQ(apart([](TrainConfig& c) { c.schedule.kind = "constant", c.train.bias_update_stop = 0.9; }), 91);
  EXPECT_EQ(apart([](TrainConfig& c) { c.schedule.kind = "constant", c.train.bias_update_stop = 0.9, c.train.bias_update_speed = 0; }),
            std::nullopt);
}

}  // namespace
}  // namespace finback
