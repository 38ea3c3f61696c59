#include "cost/flops.h"

#include <gtest/gtest.h>

#include "cost/model_size.h"

namespace finback {
namespace {

ModelConfig config(const char* name) { return load_model_config(std::string("configs/models/") + name + "/config.json"); }

// The published totals, to the integer.
TEST(ModelSize, ReproducesThePublishedCounts) {
  const ModelSize v3 = model_size(config("v3"));
  EXPECT_EQ(v3.total_without_mtp(), 671'026'419'200);
  EXPECT_EQ(v3.active(), 36'625'618'432);
  EXPECT_EQ(v3.mtp, 11'610'068'224);
  const ModelSize lite = model_size(config("v2-lite"));
  EXPECT_EQ(lite.total_without_mtp(), 15'706'484'224);
  EXPECT_EQ(lite.active(), 2'451'435'008);
}

// 250.46 and 16.41 GFLOP from the published parameter counts, which include the norms and the expert biases; matrices alone are 250.4.
TEST(Flops, AgreeWithThePublishedFigures) {
  EXPECT_NEAR(train_flops_per_token(config("v3"), 4096, AttentionCount::kCausal, false) / 1e9, 250.4, 0.1);
  EXPECT_NEAR(train_flops_per_token(config("v3"), 4096, AttentionCount::kFull, false) / 1e9, 281.2, 0.1);
  EXPECT_NEAR(train_flops_per_token(config("v3"), 4096, AttentionCount::kCausal, true) / 1e9, 260.6, 0.1);
  EXPECT_NEAR(train_flops_per_token(config("v2-lite"), 4096, AttentionCount::kCausal, false) / 1e9, 16.41, 0.02);
}

TEST(Flops, CacheBytesAreThePublishedOnes) {
  EXPECT_EQ(cache_bytes_per_token(config("v3"), 2, false), 70'272);
  EXPECT_EQ(cache_bytes_per_token(config("v2-lite"), 2, false), 31'104);
}

}  // namespace
}  // namespace finback
