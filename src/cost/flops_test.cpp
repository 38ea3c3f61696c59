#include "cost/flops.h"

#include <gtest/gtest.h>

#include "cost/cache_bytes.h"

namespace finback {
namespace {

ModelShape shape(const char* name) { return shape_of(load_model_config(std::string("configs/models/") + name + "/config.json")); }

// 250.46 and 16.41 GFLOP from the published parameter counts, which include the norms and the expert biases; matrices alone are 250.4.
TEST(Flops, AgreeWithThePublishedFigures) {
  EXPECT_NEAR(train_flops_per_token(shape("v3"), 4096, AttentionCount::kCausal, false) / 1e9, 250.4, 0.1);
  EXPECT_NEAR(train_flops_per_token(shape("v3"), 4096, AttentionCount::kFull, false) / 1e9, 281.2, 0.1);
  EXPECT_NEAR(train_flops_per_token(shape("v3"), 4096, AttentionCount::kCausal, true) / 1e9, 260.6, 0.1);
  EXPECT_NEAR(train_flops_per_token(shape("v2-lite"), 4096, AttentionCount::kCausal, false) / 1e9, 16.41, 0.02);
}

// A layer with a sliding window shows a decoded token the window's keys, however long the context is.
TEST(Flops, ADecodedTokenSeesWholeWindows) {
  ModelShape s = shape("v2-lite");
  EXPECT_EQ(decoded_keys(s, 4096), 4096);
  s.window = 128, s.window_share = 0.25;
  EXPECT_EQ(decoded_keys(s, 4096), 0.25 * 128 + 0.75 * 4096);
  EXPECT_EQ(decoded_keys(s, 100), 100);
  EXPECT_EQ(decode_flops_per_token(s, 4096) - decode_flops_per_token(s, 100),
            double(decode_flops_per_key(s)) * (0.25 * 128 + 0.75 * 4096 - 100));
}

TEST(Flops, CacheBytesAreThePublishedOnes) {
  EXPECT_EQ(cache_bytes_per_token(shape("v3"), 2, false), 70'272);
  EXPECT_EQ(cache_bytes_per_token(shape("v2-lite"), 2, false), 31'104);
}

}  // namespace
}  // namespace finback
