// A prompt that is found in the prefix cache is answered with the bits of one that is computed; and the receipt says what was found, and why no more.
#include <gtest/gtest.h>

#include "infer/drafting_models.h"
#include "infer/engine.h"
#include "infer/scored_calls.h"

namespace finback {
namespace {

using namespace test;

class EnginePrefixes : public testing::Test {
 protected:
  // A beginning of `length` tokens that all share, then tokens of one's own.
  Request request_of(int64_t shared, int64_t own, int64_t who, int64_t max_tokens = 6) {
    Request request;
    for (int64_t i = 0; i < shared + own; ++i) {
      request.prompt.push_back(int32_t((i * 31 + (i < shared ? 0 : 7 + who)) % model->config().vocab_size));
    }
    request.max_tokens = max_tokens;
    request.key = {.seed = 9, .a = uint32_t(who)};
    return request;
  }
  EngineOptions pages(int64_t count, int64_t step_tokens = 512) const {
    return {.step_tokens = step_tokens, .cache_bytes = count * KvCache::page_bytes(model->config(), 1), .speculative_tokens = 1};
  }
  static void expect_same(const std::vector<TokenEvent>& a, const std::vector<TokenEvent>& b, const std::string& where) {
    ASSERT_EQ(a.size(), b.size()) << where;
    for (size_t i = 0; i < a.size(); ++i) {
      EXPECT_EQ(a[i].token, b[i].token) << where << ", token " << i;
      EXPECT_EQ(a[i].logprob, b[i].logprob) << where << ", token " << i;
    }
  }
  std::vector<TokenEvent> uncached(const Request& request) {
    Engine engine(*model, {.prefix_cache = false, .speculative_tokens = 0});
    return generate(engine, request);
  }
  // Answers it in `engine` and compares with an engine that caches nothing; the receipt.
  CacheReceipt answer(Engine& engine, const Request& request, const std::string& where) {
    const std::vector<TokenEvent> events = generate(engine, request);
    expect_same(events, uncached(request), where);
    EXPECT_TRUE(events.at(0).cache) << where;
    const CacheReceipt receipt = events.at(0).cache.value_or(CacheReceipt());
    EXPECT_EQ(receipt.memory_tokens + receipt.computed_tokens, int64_t(request.prompt.size())) << where;
    EXPECT_EQ(receipt.seconds_saved > 0, receipt.memory_tokens > 0) << where;
    return receipt;
  }
  static void expect_receipt(const CacheReceipt& receipt, int64_t memory_tokens, MissReason reason, int64_t at) {
    EXPECT_EQ(receipt.memory_tokens, memory_tokens);
    EXPECT_EQ(int(receipt.miss.reason), int(reason));
    EXPECT_EQ(receipt.miss.at, at);
  }

  std::unique_ptr<Transformer> model = drafting_model(load_model_config(FINBACK_SOURCE_DIR "/configs/models/nano"), 0.3);
};

TEST_F(EnginePrefixes, CachedIsUncachedAlsoBehindAFork) {
  Engine engine(*model, pages(16));
  expect_receipt(answer(engine, request_of(150, 0, 1), "first"), 0, MissReason::kFirstSeen, 0);
  expect_receipt(answer(engine, request_of(150, 0, 1), "again"), 128, MissReason::kNone, 128);
  expect_receipt(answer(engine, request_of(150, 0, 2), "another draw"), 128, MissReason::kNone, 128);
  expect_receipt(answer(engine, request_of(100, 70, 3), "a fork in the second page"), 64, MissReason::kDiverged, 100);
  expect_receipt(answer(engine, request_of(128, 70, 4), "a fork behind it"), 128, MissReason::kFirstSeen, 128);
  expect_receipt(answer(engine, request_of(128, 0, 5), "never the whole prompt"), 64, MissReason::kNone, 64);
  expect_receipt(answer(engine, request_of(40, 0, 6), "short"), 0, MissReason::kTooShort, 0);
  EXPECT_EQ(engine.metrics().pages_used, 0);
  EXPECT_EQ(engine.metrics().hit_tokens, 128 + 128 + 64 + 128 + 64);
}

// The turn of a conversation: prompt, answer and what the user says next. The answer's tokens were computed as they were drawn.
TEST_F(EnginePrefixes, WhatWasDrawnIsFoundByTheNextTurn) {
  Engine engine(*model, pages(16));
  Request request = request_of(100, 0, 1, 100);
  const std::vector<TokenEvent> events = generate(engine, request);
  for (const TokenEvent& event : events) request.prompt.push_back(event.token);
  for (int32_t i = 0; i < 30; ++i) request.prompt.push_back(i);
  request.max_tokens = 6;
  expect_receipt(answer(engine, request, "second turn"), 192, MissReason::kNone, 192);
}

TEST_F(EnginePrefixes, EvictionsChangeNoBitAndAreSaid) {
  Engine engine(*model, pages(4));
  answer(engine, request_of(150, 0, 1), "first");
  answer(engine, request_of(0, 190, 2), "another takes three of four pages");
  const CacheReceipt receipt = answer(engine, request_of(150, 0, 1), "what is left of the first");
  EXPECT_EQ(int(receipt.miss.reason), int(MissReason::kEvicted));
  EXPECT_LT(receipt.memory_tokens, 128);
}

// All at once over few pages: pages are shared, read while others write behind them, preempted and found again.
TEST_F(EnginePrefixes, SharedPagesInACrowdChangeNoBit) {
  for (const int64_t page_count : {6, 9, 40}) {
    for (const int64_t step_tokens : {17, 512}) {
      const std::string where = fmt::format("{} pages, {} rows a step", page_count, step_tokens);
      Engine engine(*model, pages(page_count, step_tokens));
      std::vector<Request> requests;
      std::map<int64_t, size_t> owner;
      for (int64_t who = 0; who < 9; ++who) requests.push_back(request_of(70 + 25 * (who % 3), 40 * (who % 2), who, 40));
      for (const Request& request : requests) owner.emplace(engine.submit(request), owner.size());
      std::vector<std::vector<TokenEvent>> events(requests.size());
      while (!engine.idle()) {
        for (const TokenEvent& event : engine.step()) events[owner.at(event.request_id)].push_back(event);
      }
      for (size_t i = 0; i < requests.size(); ++i) expect_same(events[i], uncached(requests[i]), fmt::format("{}, request {}", where, i));
      EXPECT_GT(engine.metrics().hit_tokens, 0) << where;
      EXPECT_EQ(engine.metrics().preemptions > 0, page_count < 40) << where;
      EXPECT_EQ(engine.metrics().pages_used, 0) << where;
    }
  }
}

// Many answers to one prompt that come at the same time: it is read once.
TEST_F(EnginePrefixes, APromptIsReadOnceForAllItsAnswers) {
  Engine engine(*model, pages(40, 64));
  for (int64_t who = 0; who < 4; ++who) engine.submit(request_of(200, 0, who));
  std::vector<int64_t> memory_tokens;
  while (!engine.idle()) {
    for (const TokenEvent& event : engine.step()) {
      if (event.cache) memory_tokens.push_back(event.cache->memory_tokens);
    }
  }
  EXPECT_EQ(memory_tokens, (std::vector<int64_t>{0, 192, 192, 192}));
}

TEST_F(EnginePrefixes, NamespacesShareNothingAndSayNothing) {
  Engine engine(*model, pages(16));
  Request request = request_of(150, 0, 1);
  request.cache_namespace = "one";
  answer(engine, request, "one");
  request.cache_namespace = "two";
  expect_receipt(answer(engine, request, "two"), 0, MissReason::kFirstSeen, 0);
  request.cache_namespace = "one";
  expect_receipt(answer(engine, request, "one again"), 128, MissReason::kNone, 128);
}

// What only another namespace has costs what was never seen costs, in every count there is: rows, steps, pages. Nothing else can take time.
TEST_F(EnginePrefixes, AnotherNamespacesPromptTakesThePathOfANewOne) {
  EngineOptions options = pages(16, 64);
  options.speculative_tokens = 0;  // how many drafts are accepted depends on the text
  Engine engine(*model, options);
  Request request = request_of(150, 0, 1);
  request.cache_namespace = "one";
  answer(engine, request, "one");
  const auto counts_of = [&](Request asked) {
    asked.cache_namespace = "two";
    const EngineMetrics before = engine.metrics();
    const CacheReceipt receipt = generate(engine, asked).at(0).cache.value_or(CacheReceipt());
    const EngineMetrics after = engine.metrics();
    return std::vector<int64_t>{after.steps - before.steps,
                                after.prefill_rows - before.prefill_rows,
                                after.hit_tokens - before.hit_tokens,
                                after.pages_cached - before.pages_cached,
                                receipt.computed_tokens,
                                int64_t(receipt.miss.reason),
                                receipt.miss.at};
  };
  Request never_seen = request;
  for (int32_t& token : never_seen.prompt) token = int32_t((token + 11) % model->config().vocab_size);
  EXPECT_EQ(counts_of(request), counts_of(never_seen));
}

// Weights that change in place, as a trainer's do: the same prompt is read anew, and a sequence that saw both keeps its pages to itself.
TEST_F(EnginePrefixes, OtherWeightsFindNothing) {
  Engine engine(*model, pages(16));
  answer(engine, request_of(150, 0, 1), "first");
  const int64_t across = engine.submit(request_of(0, 150, 2, 60));
  engine.step();
  make_lively(model->parameters(), 77);
  while (!engine.idle()) engine.step();
  EXPECT_GT(across, 0);
  expect_receipt(answer(engine, request_of(150, 0, 1), "first, other weights"), 0, MissReason::kOtherWeights, 0);
  const CacheReceipt mixed = answer(engine, request_of(0, 150, 2), "begun with the others");
  EXPECT_EQ(mixed.memory_tokens, 0);
  expect_receipt(answer(engine, request_of(150, 0, 1), "again"), 128, MissReason::kNone, 128);
}

// Log-probs of a prompt need all its rows, whatever is cached.
TEST_F(EnginePrefixes, AScoredPromptIsComputed) {
  Engine engine(*model, pages(16));
  Request request = request_of(150, 0, 1);
  generate(engine, request);
  request.prompt_logprobs = true;
  EXPECT_EQ(generate(engine, request).at(0).prompt_logprobs.size(), 149u);
  request.prompt_logprobs = false;
  expect_receipt(answer(engine, request, "plain"), 128, MissReason::kNone, 128);
}

}  // namespace
}  // namespace finback
