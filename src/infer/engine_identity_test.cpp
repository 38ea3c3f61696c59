// What a request answers depends on nothing but the request: tokens and log-probs have the same bits alone and among others, however prompts are
// cut into steps, wherever the pages lie, preempted or not, drafted for or not, at one and two threads, for every kind of weights, under every kernel variant.
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include <map>

#include "base/pool.h"
#include "infer/drafting_models.h"
#include "infer/engine.h"
#include "infer/scored_calls.h"
#include "kernels/op_check.h"

namespace finback {
namespace {

using namespace test;

std::unique_ptr<Transformer> nano_model() {
  return drafting_model(with_two_modules(load_model_config(FINBACK_SOURCE_DIR "/configs/models/nano")), 0.3);
}

// Mixed lengths (within a page, one token, past two pages, a page, one past a page), temperatures, filters, penalties, log-probs.
std::vector<Request> mixed_requests(const ModelConfig& config) {
  std::vector<Request> requests;
  const std::vector<int64_t> lengths = {60, 1, 62, 130, 64, 65, 23};
  for (const auto& ids : random_documents(lengths, config.vocab_size)) {
    Request request;
    request.prompt.assign(ids.begin(), ids.end());
    request.max_tokens = 10;
    request.key = {.seed = 5, .a = uint32_t(requests.size() % 3), .b = uint32_t(requests.size())};
    requests.push_back(std::move(request));
  }
  requests[0].sampling.temperature = 0, requests[0].max_tokens = 14;
  requests[1].sampling.temperature = 1.7, requests[1].max_tokens = 20;
  requests[2].sampling.frequency_penalty = 0.8, requests[2].sampling.presence_penalty = -0.4, requests[2].top_logprobs = 3;
  requests[3].sampling.top_p = 0.9, requests[3].prompt_logprobs = true, requests[3].max_tokens = 4;
  requests[4].sampling.repetition_penalty = 1.3, requests[4].sampling.top_k = 20;
  requests[5].prompt_logprobs = true, requests[5].top_logprobs = 2, requests[5].max_tokens = 3;
  requests[6].sampling.min_p = 0.05, requests[6].sampling.logit_bias = {{7, 3.0}, {9, -2.0}};
  return requests;
}

// All that an event says, exactly.
void write_exactly(const TokenEvent& event, std::string& said) {
  said += fmt::format("{} {:a} {}", event.token, event.logprob, int(event.finish));
  for (const auto& [token, logprob] : event.top_logprobs) said += fmt::format(" {}:{:a}", token, logprob);
  for (const PromptLogprob& scored : event.prompt_logprobs) {
    said += fmt::format(" [{} {:a}", scored.token.token, scored.token.logprob);
    for (const auto& [token, logprob] : scored.top) said += fmt::format(" {}:{:a}", token, logprob);
    said += "]";
  }
  said += event.error + "\n";
}

using Answers = std::vector<std::string>;

Answers answers_alone(Transformer& model, const std::vector<Request>& requests) {
  Answers answers;
  for (const Request& request : requests) {
    Engine engine(model, {.speculative_tokens = 0});
    answers.emplace_back();
    for (const TokenEvent& event : generate(engine, request)) write_exactly(event, answers.back());
  }
  return answers;
}

// A way to run all requests in one engine.
struct Crowd {
  std::string name;
  EngineOptions options = {};
  int64_t steps_between = 0;  // one request after the other joins, with so many steps in between
  bool reversed = false;      // the last request comes first
  bool neighbours = false;    // others come and are cancelled while they wait, read and answer, so pages are handed out in a wild order
};

class CrowdRun {
 public:
  CrowdRun(Transformer& model, const std::vector<Request>& requests, const Crowd& crowd)
      : model_(model), requests_(requests), crowd_(crowd), engine_(model, crowd.options), answers_(requests.size()) {}

  Answers run() {
    for (size_t n = 0; n < requests_.size(); ++n) {
      const size_t i = crowd_.reversed ? requests_.size() - 1 - n : n;
      if (crowd_.neighbours) neighbour(int64_t(n));
      owner_[engine_.submit(requests_[i])] = i;
      if (crowd_.neighbours) neighbour(100 + int64_t(n));
      for (int64_t step = 0; step < crowd_.steps_between; ++step) take(engine_.step());
    }
    while (!engine_.idle()) {
      take(engine_.step());
      if (crowd_.neighbours && !neighbours_.empty()) {
        engine_.cancel(neighbours_.back());
        neighbours_.pop_back();
      }
    }
    return answers_;
  }
  int64_t accepted() const {
    int64_t sum = 0;
    for (const int64_t count : engine_.metrics().accepted) sum += count;
    return sum;
  }
  int64_t preemptions() const { return engine_.scheduler().preemptions(); }
  int64_t pages_used() const { return engine_.scheduler().pages_used(); }

 private:
  void neighbour(int64_t number) {
    Request request;
    for (int64_t i = 0; i < 20 + number * 31 % 120; ++i) request.prompt.push_back(int32_t((number + i * 13) % model_.config().vocab_size));
    request.max_tokens = 40;
    neighbours_.push_back(engine_.submit(request));
  }
  void take(const std::vector<TokenEvent>& events) {
    for (const TokenEvent& event : events) {
      if (const auto owner = owner_.find(event.request_id); owner != owner_.end()) write_exactly(event, answers_[owner->second]);
    }
  }

  Transformer& model_;
  const std::vector<Request>& requests_;
  const Crowd& crowd_;
  Engine engine_;
  Answers answers_;
  std::map<int64_t, size_t> owner_;
  std::vector<int64_t> neighbours_;
};

int64_t bytes_of_pages(const ModelConfig& config, int64_t pages, int64_t drafts = 2) { return pages * KvCache::page_bytes(config, drafts); }

// The roughest way: prompts in pieces of 37 tokens, too few pages, neighbours that come and go.
Crowd rough_crowd(const ModelConfig& config) {
  return {
      "rough", {.step_tokens = 37, .max_sequences = 5, .cache_bytes = bytes_of_pages(config, 5), .speculative_tokens = 2}, 2, true, true};
}

TEST(EngineIdentity, TogetherIsAlone) {
  const auto model = nano_model();
  const std::vector<Request> requests = mixed_requests(model->config());
  const Answers alone = answers_alone(*model, requests);
  const int64_t plenty = bytes_of_pages(model->config(), 64);
  for (const Crowd& crowd :
       {Crowd{"all at once", {.cache_bytes = plenty}}, Crowd{"one row a step", {.step_tokens = 1, .cache_bytes = plenty}},
        Crowd{"drafts", {.cache_bytes = plenty, .speculative_tokens = 2}},
        Crowd{"drafts, one row a step", {.step_tokens = 1, .cache_bytes = plenty, .speculative_tokens = 2}},
        Crowd{"drafts, 64 rows a step", {.step_tokens = 64, .cache_bytes = plenty, .speculative_tokens = 1}, 1, true},
        Crowd{"3 rows a step", {.step_tokens = 3, .cache_bytes = plenty}, 3},
        Crowd{"64 rows a step", {.step_tokens = 64, .cache_bytes = plenty}, 1, true},
        Crowd{"two at a time", {.max_sequences = 2, .cache_bytes = plenty}},
        Crowd{"among neighbours", {.cache_bytes = plenty}, 2, false, true}}) {
    CrowdRun run(*model, requests, crowd);
    EXPECT_EQ(run.run(), alone) << crowd.name;
    EXPECT_EQ(run.preemptions(), 0) << crowd.name;
    if (crowd.options.speculative_tokens > 0) {
      EXPECT_GT(run.accepted(), 0) << crowd.name;
    }
    EXPECT_EQ(run.pages_used(), 0) << crowd.name;
  }
}

// Three pages, as many as the longest sequence needs: the youngest have to go again and again.
TEST(EngineIdentity, PreemptedIsUndisturbed) {
  const auto model = nano_model();
  const std::vector<Request> requests = mixed_requests(model->config());
  const Answers alone = answers_alone(*model, requests);
  for (const auto& [step_tokens, drafts] : {std::pair<int64_t, int64_t>{5, 0}, {24, 2}, {512, 2}}) {
    for (const bool reversed : {false, true}) {
      const int64_t bytes = bytes_of_pages(model->config(), 3, drafts);
      const Crowd crowd = {"three pages", {.step_tokens = step_tokens, .cache_bytes = bytes, .speculative_tokens = drafts}, 0, reversed};
      CrowdRun run(*model, requests, crowd);
      EXPECT_EQ(run.run(), alone) << step_tokens << (reversed ? ", reversed" : "");
      EXPECT_GT(run.preemptions(), 0) << step_tokens << (reversed ? ", reversed" : "");
      EXPECT_EQ(run.accepted() > 0, drafts > 0);
      EXPECT_EQ(run.pages_used(), 0);
    }
  }
}

TEST(EngineIdentity, HoldsForAllWeightsThreadsAndKernelVariants) {
  for (const Precision storage : {Precision::kF32, Precision::kBf16, Precision::kInt8, Precision::kFp8}) {
    SCOPED_TRACE(precision_name(storage));
    const auto model = nano_model();
    std::vector<Request> requests = mixed_requests(model->config());
    for_each_variant([&] {
      if (storage != Precision::kF32) model->store_weights(storage);
      set_threads(1);
      const Answers alone = answers_alone(*model, requests);
      for (const int count : {1, 2}) {
        set_threads(count);
        const Crowd crowd = rough_crowd(model->config());
        CrowdRun run(*model, requests, crowd);
        EXPECT_EQ(run.run(), alone) << count << " threads";
        EXPECT_GT(run.preemptions(), 0);
        EXPECT_GT(run.accepted(), 0);
      }
    });
  }
}

}  // namespace
}  // namespace finback
