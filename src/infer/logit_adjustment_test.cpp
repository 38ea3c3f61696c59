#include "infer/logit_adjustment.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"

namespace finback {
namespace {

constexpr float kNever = -INFINITY;

std::vector<float> adjusted(const Request& request, const std::vector<int32_t>& generated) {
  std::vector<float> logits = {2, -2, 4, 1, 0};
  std::vector<int32_t> tokens = request.prompt;
  tokens.insert(tokens.end(), generated.begin(), generated.end());
  adjust_logits(logits, request, tokens, int64_t(generated.size()));
  return logits;
}

TEST(LogitAdjustment, RepetitionCountsPromptAndAnswerTheOthersTheAnswer) {
  Request request;
  request.prompt = {0, 1};
  request.sampling.repetition_penalty = 2;
  EXPECT_EQ(adjusted(request, {3}), (std::vector<float>{1, -4, 4, 0.5, 0}));
  request.sampling = {.frequency_penalty = 0.5};
  EXPECT_EQ(adjusted(request, {3, 3, 0}), (std::vector<float>{1.5, -2, 4, 0, 0}));
  request.sampling = {.presence_penalty = 1.5};
  EXPECT_EQ(adjusted(request, {3, 3, 0}), (std::vector<float>{0.5, -2, 4, -0.5, 0}));
}

TEST(LogitAdjustment, BiasComesBeforePenalties) {
  Request request;
  request.prompt = {0};
  request.sampling.logit_bias = {{0, -5}, {4, 10}};
  EXPECT_EQ(adjusted(request, {}), (std::vector<float>{-3, -2, 4, 1, 10}));
  request.sampling.repetition_penalty = 2;
  EXPECT_EQ(adjusted(request, {}), (std::vector<float>{-6, -2, 4, 1, 10}));
}

TEST(LogitAdjustment, StopIdsWaitForMinTokens) {
  Request request;
  request.stop_ids = {2, 4};
  request.sampling.min_tokens = 2;
  EXPECT_EQ(adjusted(request, {1}), (std::vector<float>{2, -2, kNever, 1, kNever}));
  EXPECT_EQ(adjusted(request, {1, 1}), (std::vector<float>{2, -2, 4, 1, 0}));
  EXPECT_TRUE(adjusts_logits(request, 1));
  EXPECT_FALSE(adjusts_logits(request, 2));
}

TEST(LogitAdjustment, TheMaskSeesTheNewTokensAndNarrows) {
  Request request;
  request.prompt = {0, 0};
  std::vector<int32_t> seen;
  request.mask = [&](std::span<const int32_t> generated, std::span<uint8_t> allowed) {
    seen.assign(generated.begin(), generated.end());
    allowed[2] = allowed[0] = 0;
  };
  EXPECT_EQ(adjusted(request, {3, 1}), (std::vector<float>{kNever, -2, kNever, 1, 0}));
  EXPECT_EQ(seen, (std::vector<int32_t>{3, 1}));
  request.mask = [](std::span<const int32_t>, std::span<uint8_t> allowed) { std::fill(allowed.begin(), allowed.end(), 0); };
  EXPECT_THROW(adjusted(request, {}), Error);
}

TEST(LogitAdjustment, NothingAskedForIsNothingDone) {
  EXPECT_FALSE(adjusts_logits({}, 0));
  for (const SamplingParams& params : {SamplingParams{.repetition_penalty = 1.1}, SamplingParams{.frequency_penalty = 0.1},
                                       SamplingParams{.presence_penalty = -0.1}, SamplingParams{.logit_bias = {{1, 1}}}}) {
    EXPECT_TRUE(adjusts_logits({.sampling = params}, 0));
  }
}

}  // namespace
}  // namespace finback
