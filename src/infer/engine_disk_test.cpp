// A prompt that is found on the disk is answered with the bits of one that is computed: by the next process, for all weights, threads and kernel
// variants; what was computed with anything else is not found.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "base/pool.h"
#include "infer/cache_fingerprint.h"
#include "infer/engine.h"
#include "infer/scored_calls.h"
#include "kernels/op_check.h"

namespace finback {
namespace {

using namespace test;

class EngineDisk : public testing::Test {
 protected:
  // A process of its own: engine and cache begin with what the folder has.
  struct Served {
    Served(Transformer& model, const std::filesystem::path& folder, EngineOptions options)
        : disk(DiskCacheOptions{folder}), engine(model, with(options, &disk)) {}
    static EngineOptions with(EngineOptions options, DiskCache* disk) {
      options.disk_cache = disk;
      return options;
    }
    DiskCache disk;
    Engine engine;
  };

  void SetUp() override {
    folder = std::filesystem::path(testing::TempDir()) /
             fmt::format("finback_engine_{}_{}", testing::UnitTest::GetInstance()->current_test_info()->name(), ::getpid());
    std::filesystem::remove_all(folder);
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  Request prompt_of(int64_t shared, int64_t own, int64_t who, int64_t max_tokens = 6) {
    Request request;
    for (int64_t i = 0; i < shared + own; ++i) {
      request.prompt.push_back(int32_t((i * 31 + (i < shared ? 0 : 7 + who)) % model->config().vocab_size));
    }
    request.max_tokens = max_tokens;
    request.key = {.seed = 9, .a = uint32_t(who)};
    return request;
  }
  EngineOptions of_pages(int64_t count, int64_t step_tokens = 512) const {
    const ModelConfig& c = model->config();
    return {.step_tokens = step_tokens, .cache_bytes = count * c.total_layers() * kPageTokens * c.latent_dim() * 4};
  }
  static std::string exactly(const std::vector<TokenEvent>& events) {
    std::string said;
    for (const TokenEvent& event : events) said += fmt::format("{} {:a}\n", event.token, event.logprob);
    return said;
  }
  std::string computed(const Request& request) {
    Engine engine(*model, {.prefix_cache = false});
    return exactly(generate(engine, request));
  }
  // Answers it and compares with an engine that caches nothing; the receipt.
  CacheReceipt answer(Engine& engine, const Request& request, const std::string& where) {
    const std::vector<TokenEvent> events = generate(engine, request);
    EXPECT_EQ(exactly(events), computed(request)) << where;
    const CacheReceipt receipt = events.at(0).cache.value_or(CacheReceipt());
    EXPECT_EQ(receipt.memory_tokens + receipt.disk_tokens + receipt.computed_tokens, int64_t(request.prompt.size())) << where;
    EXPECT_EQ(receipt.bytes_read > 0, receipt.disk_tokens > 0) << where;
    return receipt;
  }
  // The tokens that a process of its own finds on the disk.
  int64_t on_disk(const Request& request) {
    Served served(*model, folder, of_pages(16));
    return answer(served.engine, request, "on disk").disk_tokens;
  }

  std::filesystem::path folder;
  std::unique_ptr<Transformer> model = lively_model(load_model_config(FINBACK_SOURCE_DIR "/configs/models/nano"), false);
};

TEST_F(EngineDisk, RestartedIsUndisturbed) {
  const Request first = prompt_of(200, 0, 1, 100), again = prompt_of(200, 0, 2), fork = prompt_of(130, 90, 3);
  std::vector<TokenEvent> drawn;
  {
    Served served(*model, folder, of_pages(16));
    drawn = generate(served.engine, first);
    EXPECT_EQ(exactly(drawn), computed(first));
    EXPECT_EQ(drawn.at(0).cache->disk_tokens, 0);
  }
  Served served(*model, folder, of_pages(16));
  const CacheReceipt receipt = answer(served.engine, again, "again");
  EXPECT_EQ(receipt.disk_tokens, 192);
  EXPECT_EQ(receipt.memory_tokens, 0);
  EXPECT_EQ(int(receipt.miss.reason), int(MissReason::kNone));
  EXPECT_EQ(receipt.bytes_read, served.disk.counters().bytes_read);
  const CacheReceipt warm = answer(served.engine, again, "from memory now");
  EXPECT_EQ(warm.memory_tokens, 192);
  EXPECT_EQ(warm.disk_tokens, 0);
  const CacheReceipt forked = answer(served.engine, fork, "a fork");
  EXPECT_EQ(forked.memory_tokens, 128);
  EXPECT_EQ(int(forked.miss.reason), int(MissReason::kDiverged));
  EXPECT_EQ(forked.miss.at, 130);
  // The next turn of the conversation: prompt and answer lie there, page by page.
  Request turn = first;
  for (const TokenEvent& event : drawn) turn.prompt.push_back(event.token);
  for (int32_t i = 0; i < 30; ++i) turn.prompt.push_back(i);
  turn.max_tokens = 6;
  EXPECT_EQ(on_disk(turn), 256);
}

// Memory has lost it, the disk has not; part of a chain in memory, the rest on the disk.
TEST_F(EngineDisk, WhatMemoryLostIsReadFromTheDisk) {
  Served served(*model, folder, of_pages(4));
  answer(served.engine, prompt_of(150, 0, 1), "first");
  answer(served.engine, prompt_of(0, 190, 2), "another takes three of four pages");
  served.disk.sync();
  const CacheReceipt receipt = answer(served.engine, prompt_of(150, 0, 1), "what is left of the first");
  EXPECT_EQ(receipt.memory_tokens + receipt.disk_tokens, 128);
  EXPECT_GE(receipt.disk_tokens, 64);
  EXPECT_EQ(served.engine.metrics().pages_used, 0);
}

TEST_F(EngineDisk, FewPagesAndManyWhoShareThemChangeNoBit) {
  std::vector<Request> requests;
  for (int64_t who = 0; who < 9; ++who) requests.push_back(prompt_of(70 + 25 * (who % 3), 40 * (who % 2), who, 40));
  int64_t disk_tokens = 0;
  for (const int64_t page_count : {6, 9, 40}) {
    for (const int64_t step_tokens : {17, 512}) {
      Served served(*model, folder, of_pages(page_count, step_tokens));
      std::map<int64_t, size_t> owner;
      for (const Request& request : requests) owner.emplace(served.engine.submit(request), owner.size());
      std::vector<std::vector<TokenEvent>> events(requests.size());
      while (!served.engine.idle()) {
        for (const TokenEvent& event : served.engine.step()) events[owner.at(event.request_id)].push_back(event);
      }
      for (size_t i = 0; i < requests.size(); ++i) {
        EXPECT_EQ(exactly(events[i]), computed(requests[i])) << page_count << " pages, request " << i;
        disk_tokens += events[i].at(0).cache->disk_tokens;
      }
      EXPECT_EQ(served.engine.metrics().pages_used, 0);
    }
  }
  EXPECT_GT(disk_tokens, 0);
}

TEST_F(EngineDisk, HoldsForAllWeightsThreadsAndKernelVariants) {
  const Request request = prompt_of(150, 0, 1);
  for (const Precision storage : {Precision::kF32, Precision::kBf16, Precision::kInt8, Precision::kFp8}) {
    SCOPED_TRACE(precision_name(storage));
    model = lively_model(model->config(), false);
    for_each_variant([&] {
      if (storage != Precision::kF32) model->store_weights(storage);
      for (const int count : {1, 2}) {
        set_threads(count);
        EXPECT_EQ(on_disk(request), count == 1 ? 0 : 128) << "one thread writes, two read";
        EXPECT_EQ(on_disk(request), 128);
      }
    });
  }
}

// Weights that were replaced in place, a key of config.json, how weights are stored: each is a miss, and what was there before is found again.
TEST_F(EngineDisk, WhatWasComputedWithAnythingElseIsNotFound) {
  const Request request = prompt_of(150, 0, 1);
  const ModelConfig config = model->config();
  EXPECT_EQ(on_disk(request), 0);
  EXPECT_EQ(on_disk(request), 128);
  model = lively_model(config, false, 6);
  EXPECT_EQ(on_disk(request), 0) << "other weights of the same shape";
  ModelConfig other = config;
  other.routed_scaling_factor *= 1.5;
  model = lively_model(other, false);
  EXPECT_EQ(on_disk(request), 0) << "another config";
  model = lively_model(config, false);
  model->store_weights(Precision::kBf16);
  EXPECT_EQ(on_disk(request), 0) << "stored in other numbers";
  model->read_stored(lively_model(config, false, 6)->store_weights(Precision::kBf16));
  EXPECT_EQ(on_disk(request), 0) << "stored from other weights than the model's own";
  model = lively_model(config, false);
  EXPECT_EQ(on_disk(request), 128) << "the first one again";
  other = config;
  other.other["transformers_version"] = "5.0";
  model = lively_model(other, false);
  EXPECT_EQ(on_disk(request), 128) << "a key that changes no number";
}

// A trainer's next step, under an engine that runs.
TEST_F(EngineDisk, WeightsThatChangeUnderTheEngineAreOthers) {
  const Request request = prompt_of(150, 0, 1);
  {
    Served served(*model, folder, of_pages(16));
    answer(served.engine, request, "first");
    make_lively(model->parameters(), 77);
    EXPECT_EQ(answer(served.engine, request, "other weights").disk_tokens, 0);
  }
  EXPECT_EQ(on_disk(request), 128) << "those of the new weights";
}

// What only another namespace has is looked for as what nobody has, on the disk too: the same reads, and none of them finds anything.
TEST_F(EngineDisk, AnotherNamespacesPromptTakesThePathOfANewOne) {
  Request request = prompt_of(150, 0, 1);
  request.cache_namespace = "one";
  EXPECT_EQ(on_disk(request), 0);
  EXPECT_EQ(on_disk(request), 128);
  Request never_seen = request;
  for (int32_t& token : never_seen.prompt) token = int32_t((token + 11) % model->config().vocab_size);
  std::vector<std::vector<int64_t>> counts;
  for (Request asked : {request, never_seen}) {
    asked.cache_namespace = "two";
    Served served(*model, folder, of_pages(16));
    const CacheReceipt receipt = answer(served.engine, asked, "two");
    const DiskCacheCounters disk = served.disk.counters();
    const EngineMetrics metrics = served.engine.metrics();
    counts.push_back({disk.reads, disk.hits, disk.refused, disk.bytes_read, metrics.steps, metrics.prefill_rows, receipt.computed_tokens,
                      int64_t(receipt.miss.reason), receipt.miss.at});
    EXPECT_EQ(disk.hits, 0);
  }
  EXPECT_EQ(counts[0], counts[1]);
}

TEST_F(EngineDisk, AScoredPromptIsComputed) {
  Request request = prompt_of(150, 0, 1);
  EXPECT_EQ(on_disk(request), 0);
  request.prompt_logprobs = true;
  EXPECT_EQ(on_disk(request), 0);
}

}  // namespace
}  // namespace finback
