#include "infer/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "base/error.h"

namespace finback {
namespace {

const std::vector<float> kLogits = {1.0f, 3.0f, 2.0f, 3.0f, -1.0f, 0.5f};

std::vector<int32_t> kept(const SamplingParams& params) { return kept_ids(kLogits, sample(kLogits, params, {}, 0).kept); }

std::vector<double> softmax(const std::vector<float>& logits, double temperature) {
  std::vector<double> p;
  double total = 0;
  for (const float logit : logits) total += p.emplace_back(std::exp(logit / temperature));
  for (double& value : p) value /= total;
  return p;
}

TEST(Sampler, GreedyTakesTheLowestIdOfATie) {
  SamplingParams params;
  params.temperature = 0;
  const SampledToken sampled = sample(kLogits, params, {}, 5);
  EXPECT_EQ(sampled.token, 1);
  EXPECT_NEAR(sampled.logprob, std::log(softmax(kLogits, 1.0)[1]), 1e-6);
}

// Empirical frequencies over positions follow the tempered softmax; 20000 draws have a standard error below 0.0036.
TEST(Sampler, DrawsFromTheTemperedSoftmax) {
  SamplingParams params;
  params.temperature = 0.7;
  const std::vector<double> p = softmax(kLogits, 0.7);
  std::vector<int> count(kLogits.size());
  const int draws = 20000;
  for (int position = 0; position < draws; ++position) ++count[size_t(sample(kLogits, params, {.seed = 11}, position).token)];
  for (size_t id = 0; id < p.size(); ++id) EXPECT_NEAR(double(count[id]) / draws, p[id], 0.015) << id;
}

TEST(Sampler, SameKeySameTokenAndOtherKeysDiffer) {
  const SamplingParams params;
  int differ[4] = {};
  for (int position = 0; position < 200; ++position) {
    const auto drawn = [&](const SampleKey& key) { return sample(kLogits, params, key, position).token; };
    EXPECT_EQ(drawn({}), drawn({}));
    differ[0] += drawn({}) != drawn({.seed = 1});
    differ[1] += drawn({}) != drawn({.a = 1});
    differ[2] += drawn({}) != drawn({.b = 1});
    differ[3] += drawn({.a = 1}) != drawn({.b = 1});
  }
  for (const int count : differ) EXPECT_GT(count, 50);
}

TEST(Sampler, CutsKeepTheExpectedSets) {
  SamplingParams params;
  params.top_k = 3;
  EXPECT_EQ(kept(params), (std::vector<int32_t>{1, 3, 2}));
  params = {};
  params.top_p = 0.5;  // the two best have 0.386 each: one is not enough, two are
  EXPECT_EQ(kept(params), (std::vector<int32_t>{1, 3}));
  params = {};
  params.min_p = 0.2;  // exp(-1) = 0.37 stays, exp(-2) = 0.14 goes
  EXPECT_EQ(kept(params), (std::vector<int32_t>{1, 3, 2}));
  params.min_p = 1;
  EXPECT_EQ(kept(params), (std::vector<int32_t>{1, 3}));
}

TEST(Sampler, RefusesImpossibleParameters) {
  SamplingParams params;
  params.temperature = -1;
  EXPECT_THROW(check_sampling(params), Error);
  params = {};
  params.top_p = 0;
  EXPECT_THROW(check_sampling(params), Error);
  params = {};
  params.min_p = 1.5;
  EXPECT_THROW(check_sampling(params), Error);
  EXPECT_THROW(sample(std::vector<float>{1.0f, NAN}, {}, {}, 0), Error);
}

}  // namespace
}  // namespace finback
