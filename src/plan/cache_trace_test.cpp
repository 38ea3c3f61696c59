#include "plan/cache_trace.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>

#include "base/error.h"
#include "base/rng.h"
#include "plan/cache_savings.h"
#include "plan/hit_curve.h"

namespace finback {
namespace {

// Conversations that begin with one of three system prompts and grow by some blocks a turn, interleaved; ids are the file's, not yet chained.
std::string generated_trace(int requests) {
  std::string text;
  std::vector<std::vector<int64_t>> talks;
  int64_t fresh = 1000;
  for (int i = 0; i < requests; ++i) {
    const auto r = philox(Stream::kTest, 7, uint64_t(i));
    if (talks.size() < 5 || r[0] % 4 == 0) talks.push_back({int64_t(r[1] % 3), 10 + int64_t(r[1] % 3)});
    std::vector<int64_t>& talk = talks[r[2] % talks.size()];
    for (uint32_t k = 0; k < 1 + r[3] % 4; ++k) talk.push_back(fresh++);
    text += fmt::format("{{\"timestamp\": {}, \"input_length\": {}, \"output_length\": 7, \"hash_ids\": [{}]}}\n", 10 * i,
                        512 * talk.size() - r[3] % 2, fmt::join(talk, ", "));
  }
  return text;
}

// The reference: a list of at most `size` blocks, looked up from the beginning of a prompt until one is missing.
int64_t found_by_list(const CacheTrace& trace, size_t size) {
  std::list<int32_t> cache;
  int64_t found = 0;
  for (const auto& request : trace.requests) {
    for (const int32_t block : request) {
      if (std::find(cache.begin(), cache.end(), block) == cache.end()) break;
      ++found;
    }
    for (auto block = request.rbegin(); block != request.rend(); ++block) {
      cache.remove(*block);
      cache.push_front(*block);
      if (cache.size() > size) cache.pop_back();
    }
  }
  return found;
}

TEST(CacheTrace, OnePassFindsWhatAListOfEachSizeFinds) {
  const CacheTrace trace = parse_cache_trace(generated_trace(200), "t");
  const HitCurve curve = replay_trace(trace);
  ASSERT_GT(trace.distinct_blocks, 300);
  for (const int64_t size : {0, 1, 2, 3, 7, 20, 64, 150, 299}) EXPECT_EQ(curve.at(size), found_by_list(trace, size_t(size))) << size;
  for (const int64_t size : {trace.distinct_blocks, trace.distinct_blocks + 9})
    EXPECT_EQ(curve.at(size), found_by_list(trace, size_t(size))) << size;
  EXPECT_EQ(curve.at(0), 0);
  EXPECT_GT(curve.at(150), curve.at(20));
}

TEST(CacheTrace, OnlyPrefixesAreFound) {
  // Block 5 behind another beginning is another block, and a partly filled last block is none.
  const CacheTrace trace = parse_cache_trace(
      "{\"input_length\": 1100, \"hash_ids\": [1, 5, 9]}\n{\"input_length\": 1024, \"hash_ids\": [2, 5]}\n\n{\"input_length\": 1536, "
      "\"hash_ids\": [1, 5, 9]}\n",
      "t");
  EXPECT_EQ(trace.requests, (std::vector<std::vector<int32_t>>{{0, 1}, {2, 3}, {0, 1, 4}}));
  EXPECT_EQ(trace.prompt_tokens, 1100 + 1024 + 1536);
  EXPECT_EQ(replay_trace(trace).found, (std::vector<int64_t>{0, 0, 0, 1, 2, 2}));
}

TEST(CacheTrace, TokensAreCutIntoBlocksOf64) {
  const auto prompt = [](int length, int last) {
    std::vector<int> tokens(size_t(length), 3);
    tokens.back() = last;
    return fmt::format("{{\"tokens\": [{}], \"output_length\": 2}}\n", fmt::join(tokens, ","));
  };
  const CacheTrace trace = parse_cache_trace(prompt(128, 3) + prompt(128, 4) + prompt(127, 3), "t");
  EXPECT_EQ(trace.requests, (std::vector<std::vector<int32_t>>{{0, 1}, {0, 2}, {0}}));
  EXPECT_EQ(trace.output_tokens, 6);
}

TEST(CacheTrace, RefusesWhatIsNoTrace) {
  const auto message = [](const std::string& text) -> std::string {
    try {
      parse_cache_trace(text, "t.jsonl");
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  };
  const std::string good = "{\"timestamp\": 5, \"input_length\": 512, \"hash_ids\": [1]}\n";
  EXPECT_EQ(message(good), "");
  EXPECT_NE(message("").find("got none"), std::string::npos);
  EXPECT_NE(message(good + "{\"timestamp\": 4, \"input_length\": 512, \"hash_ids\": [1]}").find("t.jsonl, line 2: expected lines in order"),
            std::string::npos);
  EXPECT_NE(message(good + "{\"tokens\": [1]}").find("expected hash_ids as in the lines before"), std::string::npos);
  EXPECT_NE(message("{\"input_length\": 512, \"hash_ids\": [1, 2]}").find("expected 1 hash_ids for 512 tokens"), std::string::npos);
  EXPECT_NE(message("{\"input_length\": 512, \"hash_ids\": [1.5]}").find("list of integers"), std::string::npos);
  EXPECT_NE(message("{\"input_length\": -1, \"hash_ids\": []}").find("input_length"), std::string::npos);
  EXPECT_NE(message("{\"tokens\": []}").find("at least one"), std::string::npos);
  for (const char* wrong : {"[", "[]", "7", "{}", "{\"hash_ids\": 3, \"input_length\": 1}", "{\"tokens\": \"abc\"}", "\xff\xfe"})
    EXPECT_NE(message(wrong).find("t.jsonl, line 1"), std::string::npos) << wrong;
}

TEST(CacheSavings, DollarsAreTokensFoundTimesTheDifferenceInPrice) {
  const CacheTrace trace = parse_cache_trace(generated_trace(50), "t");
  ServePlan plan;
  plan.cache_bytes_per_token = 100, plan.usd_per_m_hit = 0.1, plan.usd_per_m_miss = 1.1;
  const std::vector<CacheSize> sizes = price_cache_sizes(trace, plan, {});
  ASSERT_GE(sizes.size(), 4u);
  for (size_t i = 1; i < sizes.size(); ++i) EXPECT_GT(sizes[i].blocks, sizes[i - 1].blocks);  // no size twice
  EXPECT_EQ(sizes.back().blocks, trace.distinct_blocks);
  EXPECT_DOUBLE_EQ(sizes.back().usd_saved * 1e6, double(replay_trace(trace).found.back() * 512));
  EXPECT_NEAR(sizes[3].usd_per_m_input, 1.1 - sizes[3].hit, 1e-12);
  EXPECT_EQ(price_cache_sizes(trace, plan, {51.2e3 / 1e9}).at(0).blocks, 1);
}

}  // namespace
}  // namespace finback
