// Drafts change no bit of an answer, and acceptance is what it is by construction: tokens, log-probs and receipts with drafts are those without.
#include "infer/speculation.h"

#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <numeric>

#include "infer/drafting_models.h"
#include "infer/engine.h"
#include "infer/step_batch.h"

namespace finback {
namespace {

using namespace test;

ModelConfig spoken_config() { return with_two_modules(load_model_config(FINBACK_SOURCE_DIR "/configs/models/nano")); }

std::vector<int32_t> spoken(int64_t length, int64_t who, int64_t vocabulary) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < length; ++i) ids.push_back(int32_t((i * 31 + who * 7 + i / 64) % vocabulary));
  return ids;
}

// Ways to draw: each option of a request that reaches a token.
std::vector<std::pair<std::string, Request>> drawn_requests(int64_t vocabulary) {
  std::vector<std::pair<std::string, Request>> requests;
  const auto add = [&](const std::string& name, auto change) {
    Request request;
    request.prompt = spoken(58, int64_t(requests.size()), vocabulary), request.max_tokens = 24;
    request.key = {.seed = 3, .a = uint32_t(requests.size()), .b = 1};
    change(request);
    requests.emplace_back(name, std::move(request));
  };
  add("greedy", [](Request& r) { r.sampling.temperature = 0; });
  add("sampled", [](Request&) {});
  add("filtered", [](Request& r) { r.sampling.top_k = 5, r.sampling.top_p = 0.9, r.sampling.min_p = 0.01, r.top_logprobs = 2; });
  add("penalties", [](Request& r) {
    r.sampling.temperature = 0, r.sampling.repetition_penalty = 1.3, r.sampling.frequency_penalty = 0.7, r.sampling.presence_penalty = 0.3;
  });
  add("bias", [](Request& r) { r.sampling.temperature = 0.5, r.sampling.logit_bias = {{7, 9.0}, {11, 9.0}, {13, 9.0}}; });
  add("mask", [](Request& r) {
    r.mask = [](std::span<const int32_t> generated, std::span<uint8_t> allowed) {
      for (size_t id = 0; id < allowed.size(); ++id) allowed[id] = id % 50 == generated.size() % 3;
    };
  });
  for (int64_t most = 1; most <= 7; ++most) {
    add(fmt::format("max_tokens {}", most), [&](Request& r) { r.sampling.temperature = 0, r.max_tokens = most; });
  }
  return requests;
}

// Everything that an answer says.
std::string said_by(Engine& engine, const Request& request) {
  std::string said;
  for (const TokenEvent& event : generate(engine, request)) {
    said += fmt::format("{} {:a} {}", event.token, event.logprob, int(event.finish));
    for (const auto& [token, logprob] : event.top_logprobs) said += fmt::format(" {}:{:a}", token, logprob);
    if (event.cache) said += fmt::format(" {} cached", event.cache->memory_tokens);
    said += "\n";
  }
  return said;
}

std::string said_alone(Transformer& model, const Request& request, int64_t speculative_tokens) {
  Engine engine(model, {.speculative_tokens = speculative_tokens});
  return said_by(engine, request);
}

int64_t sum_of(const std::vector<int64_t>& counts) { return std::accumulate(counts.begin(), counts.end(), int64_t{0}); }

TEST(Speculation, ModulesThatAgreeMakeThreeTokensAStep) {
  const auto model = drafting_model(spoken_config(), 0);
  Request request{.prompt = spoken(50, 1, 2048), .max_tokens = 31};  // over a page's border
  request.sampling.temperature = 0;
  Engine engine(*model, {.speculative_tokens = 2});
  EXPECT_EQ(said_by(engine, request), said_alone(*model, request, 0));
  const EngineMetrics metrics = engine.metrics();
  EXPECT_EQ(metrics.steps, 1 + 10);
  EXPECT_EQ(metrics.drafted, (std::vector<int64_t>{10, 10}));
  EXPECT_EQ(metrics.accepted, (std::vector<int64_t>{10, 10}));
  EXPECT_EQ(metrics.generated_tokens, 31);
}

// Drawn with the same random number from the same logits, but for rounding: at temperature 1, too, the draft is the token.
TEST(Speculation, DraftsAreDrawnWithTheKeyOfTheToken) {
  const auto model = drafting_model(spoken_config(), 0);
  Request request{.prompt = spoken(50, 1, 2048), .max_tokens = 61};
  for (const double temperature : {0.7, 1.0}) {
    request.sampling.temperature = temperature, request.key = {.seed = 11, .a = 2, .b = 0};
    Engine engine(*model, {.speculative_tokens = 2});
    EXPECT_EQ(said_by(engine, request), said_alone(*model, request, 0));
    const EngineMetrics metrics = engine.metrics();
    for (size_t k = 0; k < 2; ++k) EXPECT_GT(double(metrics.accepted[k]), 0.9 * double(metrics.drafted[k])) << k;
  }
}

TEST(Speculation, ModulesThatNeverAgreeChangeNothing) {
  const auto model = drafting_model(spoken_config(), 0, -1);
  Request request{.prompt = spoken(50, 1, 2048), .max_tokens = 31};
  request.sampling.temperature = 0;
  Engine engine(*model, {.speculative_tokens = 2});
  EXPECT_EQ(said_by(engine, request), said_alone(*model, request, 0));
  const EngineMetrics metrics = engine.metrics();
  EXPECT_EQ(metrics.steps, 31);
  EXPECT_EQ(metrics.drafted, (std::vector<int64_t>{29, 28}));  // none behind max_tokens
  EXPECT_EQ(metrics.accepted, (std::vector<int64_t>{0, 0}));
}

TEST(Speculation, OnIsOffHoweverTokensAreDrawn) {
  for (const double mixed : {0.0, 0.3}) {
    const auto model = drafting_model(spoken_config(), mixed);
    int64_t accepted = 0;
    for (const auto& [name, request] : drawn_requests(model->config().vocab_size)) {
      const std::string off = said_alone(*model, request, 0);
      for (const int64_t count : {1, 2, -1}) {
        Engine engine(*model, {.speculative_tokens = count});
        EXPECT_EQ(said_by(engine, request), off) << name << ", mixed " << mixed << ", " << count;
        accepted += sum_of(engine.metrics().accepted);
      }
    }
    EXPECT_GT(accepted, 20) << "mixed " << mixed;
  }
}

// Each token of an answer once as the one that ends it: behind a draft, between drafts, the last draft, at a page's border. With min_tokens it waits.
TEST(Speculation, StopsInTheMiddleOfAcceptedDrafts) {
  const auto model = drafting_model(spoken_config(), 0);
  Request request{.prompt = spoken(58, 1, 2048), .max_tokens = 16};
  request.sampling.temperature = 0;
  std::vector<int32_t> answer;
  {
    Engine engine(*model, {.speculative_tokens = 0});
    for (const TokenEvent& event : generate(engine, request)) answer.push_back(event.token);
  }
  for (size_t last = 0; last < 9; ++last) {
    for (const int64_t min_tokens : {int64_t{0}, int64_t(last) + 1}) {
      request.stop_ids = {answer[last]}, request.sampling.min_tokens = min_tokens;
      Engine on(*model, {.speculative_tokens = 2}), off(*model, {.speculative_tokens = 0});
      EXPECT_EQ(said_by(on, request), said_by(off, request)) << last << ", min_tokens " << min_tokens;
      EXPECT_EQ(on.metrics().generated_tokens, off.metrics().generated_tokens);
      EXPECT_EQ(on.metrics().pages_cached, off.metrics().pages_cached);
    }
  }
}

// Answers that end beside a page's border leave the same pages behind, and the next turn finds them.
TEST(Speculation, CachesWhatIsCachedWithoutDrafts) {
  const auto model = drafting_model(spoken_config(), 0);
  for (int64_t most = 1; most <= 8; ++most) {
    Engine on(*model, {.speculative_tokens = 2}), off(*model, {.speculative_tokens = 0});
    Request request{.prompt = spoken(60, 1, 2048), .max_tokens = most};
    request.sampling.temperature = 0;
    EXPECT_EQ(said_by(on, request), said_by(off, request));
    EXPECT_EQ(on.metrics().pages_cached, off.metrics().pages_cached) << most;
    for (int32_t i = 0; i < 40; ++i) request.prompt.push_back(i);
    EXPECT_EQ(said_by(on, request), said_by(off, request)) << most;
  }
}

// The first token behind a hit is drafted for, from the hidden state that the page kept.
TEST(Speculation, DraftsBehindAPrefixHitAtOnce) {
  const auto model = drafting_model(spoken_config(), 0);
  Request request{.prompt = spoken(129, 1, 2048), .max_tokens = 8};
  request.sampling.temperature = 0;
  Engine engine(*model, {.speculative_tokens = 2});
  request.max_tokens = 1;  // whoever reads the prompt never drafts
  generate(engine, request);
  request.max_tokens = 8;
  const EngineMetrics before = engine.metrics();
  engine.submit(request);
  std::vector<TokenEvent> events = engine.step();
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].cache->memory_tokens, 128);
  while (!engine.idle()) engine.step();
  EXPECT_EQ(engine.metrics().accepted[0] - before.accepted[0], 3);
  EXPECT_EQ(engine.metrics().steps - before.steps, 3);
}

// Pages hold the MTP latents too, so what is drafted behind them does not depend on who computed them; forks and answers to be read again included.
TEST(Speculation, AcceptanceBehindAPrefixHitIsThatWithoutIt) {
  const auto model = drafting_model(spoken_config(), 0.3);
  std::vector<Request> requests;
  for (int64_t who = 0; who < 6; ++who) {
    Request request{.prompt = spoken(140, 1, 2048), .max_tokens = 40};
    for (int64_t i = 0; i < 10 * who; ++i) request.prompt.push_back(int32_t(who * 100 + i));
    request.sampling.temperature = who % 2 ? 0 : 0.7;
    request.key = {.seed = 4, .a = uint32_t(who)};
    requests.push_back(request);
  }
  for (const int64_t step_tokens : {1, 64, 512}) {  // a page is a multiple of each, or the reverse: the last piece is the same
    Engine uncached(*model, {.step_tokens = step_tokens, .prefix_cache = false, .speculative_tokens = 2});
    Engine cached(*model, {.step_tokens = step_tokens, .speculative_tokens = 2});
    for (const Request& request : requests) {
      const std::vector<TokenEvent> a = generate(uncached, request), b = generate(cached, request);
      ASSERT_EQ(a.size(), b.size());
      for (size_t i = 0; i < a.size(); ++i) EXPECT_EQ(a[i].logprob, b[i].logprob);
      EXPECT_EQ(uncached.metrics().drafted, cached.metrics().drafted) << step_tokens;
      EXPECT_EQ(uncached.metrics().accepted, cached.metrics().accepted) << step_tokens;
    }
    EXPECT_GT(cached.metrics().hit_tokens, 5 * 64);
    for (size_t k = 0; k < 2; ++k) {
      EXPECT_GT(cached.metrics().accepted[k], 0);
      EXPECT_LT(cached.metrics().accepted[k], cached.metrics().drafted[k]);
    }
  }
}

// The latents of each depth and what a page keeps for the next row, however a sequence was cut, have the bits of one call over all of it.
TEST(Speculation, LatentsOfPagesAreThoseOfOneCall) {
  const at::NoGradGuard no_grad;
  const auto model = drafting_model(spoken_config(), 0.3);
  const ModelConfig& config = model->config();
  const std::vector<int32_t> ids = spoken(150, 2, config.vocab_size);
  ForwardOptions options;
  options.algebra = MlaAlgebra::kAbsorbed;
  KvCache whole(config, 3, at::kCPU, 2);
  whole.pages_XLPY.zero_();
  ActiveRequest all;
  all.tokens = ids, all.pages = {0, 1, 2};
  options.cache = &whole;
  const Batch batch = step_batch({{&all, 150}}, at::kCPU);
  const at::Tensor hidden_TD = model->forward(batch, options);
  const Transformer::Mtp first = model->mtp_forward(0, batch, hidden_TD, options);
  model->mtp_forward(1, first.batch, first.hidden_TD, options);
  for (const std::vector<int64_t>& pieces : {std::vector<int64_t>{150}, {1, 62, 1, 1, 63, 22}, {10, 60, 58, 22}}) {
    KvCache cache(config, 5, at::kCPU, 2);
    cache.pages_XLPY.zero_();
    options.cache = &cache;
    Speculation speculation(*model, cache, 2, false);
    ActiveRequest active;
    active.tokens = ids, active.pages = {0, 1, 2};
    for (const int64_t rows : pieces) {
      const std::vector<ScheduledRows> step = {{&active, rows}};
      speculation.record(active, model->forward(step_batch(step, at::kCPU), options));
      active.cached += rows;
      speculation.fill_pages(step);
    }
    EXPECT_TRUE(at::equal(cache.pages_XLPY.slice(0, 0, 2), whole.pages_XLPY.slice(0, 0, 2)));
    for (const int64_t page : {0, 1}) {
      const int64_t last = page * kPageTokens + kPageTokens - 1;
      EXPECT_TRUE(at::equal(cache.last_hidden_XKD[page][0], hidden_TD[last]));
      EXPECT_TRUE(at::equal(cache.last_hidden_XKD[page][1], first.hidden_TD[last - 1]));
    }
    // Another sequence finds the first page and goes on behind it.
    ActiveRequest behind;
    behind.tokens = ids, behind.pages = {0, 3, 4}, behind.cached = kPageTokens;
    const std::vector<ScheduledRows> step = {{&behind, 150 - kPageTokens}};
    speculation.record(behind, model->forward(step_batch(step, at::kCPU), options));
    behind.cached = 150;
    speculation.fill_pages(step);
    EXPECT_TRUE(at::equal(cache.pages_XLPY[3], whole.pages_XLPY[1]));
    EXPECT_TRUE(at::equal(cache.last_hidden_XKD[3], cache.last_hidden_XKD[1]));
  }
}

TEST(Speculation, SaysWhatAModelCannotDraft) {
  ModelConfig config = spoken_config();
  EXPECT_EQ(mtp_depths_of(-1, config), 2);
  EXPECT_EQ(mtp_depths_of(0, config), 0);
  EXPECT_EQ(mtp_depths_of(1, config), 1);
  EXPECT_THROW(mtp_depths_of(3, config), Error);
  EXPECT_THROW(mtp_depths_of(-2, config), Error);
  config.num_nextn_predict_layers = 0;
  EXPECT_EQ(mtp_depths_of(-1, config), 0);
  EXPECT_THROW(mtp_depths_of(1, config), Error);
}

}  // namespace
}  // namespace finback
