#include "generate/usage.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "data/test_folder.h"

namespace finback {
namespace {

TEST(TokenUsage, HasTheNamesOfBothApis) {
  const TokenUsage usage{.prompt_tokens = 10, .completion_tokens = 4, .prompt_cache_hit_tokens = 7, .reasoning_tokens = 3};
  EXPECT_EQ(dump_json_line(usage_json(usage)),
            R"({"prompt_tokens":10,"completion_tokens":4,"total_tokens":14,"prompt_cache_hit_tokens":7,"prompt_cache_miss_tokens":3,)"
            R"("prompt_tokens_details":{"cached_tokens":7},"completion_tokens_details":{"reasoning_tokens":3}})");
}

TEST(CacheReceipts, SayWhatWasFoundAndWhyNoMore) {
  CacheReceipt receipt;
  receipt.memory_tokens = 64, receipt.computed_tokens = 36, receipt.seconds_saved = 0.5;
  receipt.miss = {MissReason::kDiverged, 70};
  EXPECT_EQ(
      dump_json_line(receipt_json(receipt)),
      R"({"memory_tokens":64,"disk_tokens":0,"computed_tokens":36,"bytes_read":0,"seconds_saved":0.5,"miss":{"reason":"diverged","at":70}})");
  EXPECT_EQ(miss_reason_name(MissReason::kNone), "none");
  EXPECT_EQ(miss_reason_name(MissReason::kFirstSeen), "first_seen");
  EXPECT_EQ(miss_reason_name(MissReason::kEvicted), "evicted");
  EXPECT_EQ(miss_reason_name(MissReason::kOtherWeights), "other_weights");
  EXPECT_EQ(miss_reason_name(MissReason::kTooShort), "too_short");
}

TEST(TokenUsage, AddsUpInAProcessAndInItsFile) {
  const std::filesystem::path folder = test::fresh("usage"), file = folder / "usage.json";
  ServeUsage first = begin_usage(folder, file);  // no such file yet
  EXPECT_EQ(first.requests, 0);
  count_answer(first, {.prompt_tokens = 10, .completion_tokens = 4, .prompt_cache_hit_tokens = 7}, 0.5, 0.25);
  first.wall_seconds = 1;
  add_to_usage_file(file, first);
  begin_usage(folder / "", file);
  ServeUsage second = begin_usage(folder / "x" / "..", file);  // the same folder, spelled otherwise
  EXPECT_EQ(second.requests, 0);
  count_answer(second, {.prompt_tokens = 1, .completion_tokens = 1}, 0.5, 0.25);
  second.wall_seconds = 1;
  add_to_usage_file(file, second);
  second = read_usage(file);
  EXPECT_EQ(second.requests, 2);
  EXPECT_EQ(second.hit_tokens, 7);
  EXPECT_EQ(second.missed_tokens, 4);
  EXPECT_EQ(second.output_tokens, 5);
  EXPECT_EQ(second.prefill_seconds, 1.0);
  EXPECT_EQ(second.decode_seconds, 0.5);
  EXPECT_THROW(begin_usage(folder / "other", file), Error);
  EXPECT_EQ(begin_usage(folder, "").requests, 0);
}

}  // namespace
}  // namespace finback
