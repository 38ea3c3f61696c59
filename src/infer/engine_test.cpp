#include "infer/engine.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <limits>
#include <span>

#include "base/error.h"
#include "infer/sampler.h"

namespace finback {
namespace {

ModelConfig small_config() {
  return parse_model_config(parse_json(R"({"model_type": "deepseek_v3", "vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 3,
    "num_attention_heads": 2, "q_lora_rank": 16, "kv_lora_rank": 8, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4, "v_head_dim": 8,
    "first_k_dense_replace": 1, "intermediate_size": 40, "moe_intermediate_size": 12, "n_routed_experts": 4, "n_shared_experts": 1,
    "num_experts_per_tok": 2, "n_group": 2, "topk_group": 1, "routed_scaling_factor": 2.5, "num_nextn_predict_layers": 1,
    "max_position_embeddings": 512, "rope_theta": 10000})",
                                       "test config"),
                            "test config");
}

std::unique_ptr<Transformer> small_model() {
  auto model = std::make_unique<Transformer>(small_config(), at::kCPU, false);
  model->parameters().initialize(7, 0.3);  // large weights: the argmax is far from a tie
  return model;
}

std::vector<int32_t> prompt_of(int64_t length) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < length; ++i) ids.push_back(int32_t((i * 37 + 11) % 97));
  return ids;
}

std::vector<TokenEvent> run(Transformer& model, const std::vector<int32_t>& prompt, const SamplingParams& sampling, int64_t chunk,
                            const SampleKey& key = {}) {
  Engine engine(model, {0, chunk});
  Request request;
  request.prompt = prompt;
  request.max_tokens = 20;
  request.sampling = sampling;
  request.key = key;
  return generate(engine, request);
}

// One forward over the whole text, no cache: the argmax behind each position. Decoding reads stored panels, the forward widens them.
void expect_greedy_equals_the_full_forward(Precision weights) {
  SCOPED_TRACE(precision_name(weights));
  const auto model = small_model();
  if (weights != Precision::kF32) model->store_weights(weights);
  SamplingParams greedy;
  greedy.temperature = 0;
  const std::vector<int32_t> prompt = prompt_of(70);  // more than one page
  const std::vector<TokenEvent> events = run(*model, prompt, greedy, 512);
  ASSERT_EQ(events.size(), 20u);
  std::vector<int64_t> all(prompt.begin(), prompt.end());
  for (const TokenEvent& event : events) all.push_back(event.token);
  const at::NoGradGuard no_grad;
  const at::Tensor tokens_T = at::tensor(all, at::kLong);
  const Batch batch = packed_batch(tokens_T, at::arange(int64_t(all.size())), {0, int64_t(all.size())});
  ForwardOptions options;
  options.algebra = MlaAlgebra::kAbsorbed;
  const at::Tensor logits_TW = model->logits(model->forward(batch, options));
  const at::Tensor logprobs_TW = at::log_softmax(logits_TW, 1);
  for (size_t i = 0; i < events.size(); ++i) {
    const int64_t row = int64_t(prompt.size() + i) - 1;
    EXPECT_EQ(logits_TW[row].argmax().item<int64_t>(), events[i].token) << i;
    EXPECT_NEAR(logprobs_TW[row][events[i].token].item<float>(), events[i].logprob, 1e-4) << i;
  }
}

TEST(Engine, GreedyEqualsTheFullForward) {
  for (const Precision weights : {Precision::kF32, Precision::kBf16, Precision::kFp8, Precision::kInt8}) {
    expect_greedy_equals_the_full_forward(weights);
  }
}

// Each token is drawn with the random number of its own place in the sequence.
TEST(Engine, DrawsEachTokenAtItsPosition) {
  const auto model = small_model();
  SamplingParams sampling;
  sampling.temperature = 2;
  const SampleKey key = {3, 1, 2};
  const std::vector<int32_t> prompt = prompt_of(9);
  std::vector<int64_t> all(prompt.begin(), prompt.end());
  const at::NoGradGuard no_grad;
  for (const TokenEvent& event : run(*model, prompt, sampling, 512, key)) {
    const int64_t length = int64_t(all.size());
    ForwardOptions options;
    options.algebra = MlaAlgebra::kAbsorbed;
    const at::Tensor logits_TW =
        model->logits(model->forward(packed_batch(at::tensor(all, at::kLong), at::arange(length), {0, length}), options));
    const std::span<const float> last(logits_TW.const_data_ptr<float>() + (length - 1) * logits_TW.size(1), size_t(logits_TW.size(1)));
    EXPECT_EQ(event.token, sample(last, sampling, key, length).token) << length;
    all.push_back(event.token);
  }
}

// How the prompt was cut into chunks changes no bit of what follows.
TEST(Engine, ChunkSizeChangesNoBit) {
  const auto model = small_model();
  SamplingParams sampling;
  const std::vector<int32_t> prompt = prompt_of(131);
  const std::vector<TokenEvent> whole = run(*model, prompt, sampling, 512);
  for (const int64_t chunk : {1, 7, 64, 100}) {
    const std::vector<TokenEvent> cut = run(*model, prompt, sampling, chunk);
    ASSERT_EQ(cut.size(), whole.size());
    for (size_t i = 0; i < cut.size(); ++i) {
      EXPECT_EQ(cut[i].token, whole[i].token) << "chunk " << chunk << " token " << i;
      EXPECT_EQ(cut[i].logprob, whole[i].logprob) << "chunk " << chunk << " token " << i;
    }
  }
}

TEST(Engine, QueuedRequestsRunInOrderAndReusePages) {
  const auto model = small_model();
  Engine engine(*model, {128, 512});  // two pages: the second request needs those of the first
  Request request;
  request.prompt = prompt_of(100);
  request.max_tokens = 5;
  const int64_t first = engine.submit(request), second = engine.submit(request);
  std::vector<TokenEvent> events;
  while (!engine.idle()) {
    for (const TokenEvent& event : engine.step()) events.push_back(event);
  }
  ASSERT_EQ(events.size(), 10u);
  for (size_t i = 0; i < 10; ++i) EXPECT_EQ(events[i].request_id, i < 5 ? first : second);
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(events[i].logprob, events[i + 5].logprob);
  EXPECT_EQ(events[4].finish, FinishReason::kLength);
}

TEST(Engine, StopsAtAStopTokenAndAfterCancel) {
  const auto model = small_model();
  SamplingParams greedy;
  greedy.temperature = 0;
  const std::vector<TokenEvent> free_run = run(*model, prompt_of(10), greedy, 512);
  Engine engine(*model, {});
  Request request;
  request.prompt = prompt_of(10);
  request.sampling = greedy;
  request.stop_ids = {free_run[3].token};
  const std::vector<TokenEvent> stopped = generate(engine, request);
  ASSERT_LE(stopped.size(), 4u);
  EXPECT_EQ(stopped.back().token, free_run[3].token);
  EXPECT_EQ(stopped.back().finish, FinishReason::kStop);
  const int64_t id = engine.submit(request);
  engine.step();
  engine.cancel(id);
  EXPECT_TRUE(engine.idle());
}

TEST(Engine, CancelFreesThePages) {
  const auto model = small_model();
  Engine engine(*model, {64, 512});  // one page: the next request needs it
  Request request;
  request.prompt = prompt_of(10);
  request.max_tokens = 3;
  for (int round = 0; round < 2; ++round) {
    const int64_t id = engine.submit(request);
    engine.step();
    engine.cancel(id);
  }
  EXPECT_EQ(generate(engine, request).size(), 3u);
}

std::vector<TokenEvent> run_all(Engine& engine) {
  std::vector<TokenEvent> events;
  while (!engine.idle()) {
    for (TokenEvent& event : engine.step()) events.push_back(std::move(event));
  }
  return events;
}

// A prompt token whose embedding is NaN, beside two requests that do not have it.
TEST(Engine, NonFiniteStatesFailTheirRequestAlone) {
  const auto model = small_model();
  model->parameters().value("model.embed_tokens.weight")[96].fill_(std::numeric_limits<float>::quiet_NaN());
  Request request;
  request.prompt = {1, 2, 3};
  request.max_tokens = 3;
  request.sampling.logit_bias = {{96, -100}};
  const std::vector<TokenEvent> alone = run(*model, {1, 2, 3}, request.sampling, 512);
  Engine engine(*model, {});
  const int64_t first = engine.submit(request);
  request.prompt[1] = 96;
  const int64_t poisoned = engine.submit(request);
  request.prompt[1] = 2;
  const int64_t third = engine.submit(request);
  int64_t failures = 0;
  std::vector<TokenEvent> answers[2];
  for (const TokenEvent& event : run_all(engine)) {
    if (event.request_id == poisoned) {
      ++failures;
      EXPECT_EQ(event.finish, FinishReason::kError);
      EXPECT_EQ(event.token, -1);
      EXPECT_NE(event.error.find("not finite"), std::string::npos) << event.error;
    } else {
      EXPECT_TRUE(event.request_id == first || event.request_id == third);
      answers[event.request_id == third].push_back(event);
    }
  }
  EXPECT_EQ(failures, 1);
  for (const std::vector<TokenEvent>& answer : answers) {
    ASSERT_EQ(answer.size(), 3u);
    for (size_t i = 0; i < 3; ++i) EXPECT_EQ(answer[i].logprob, alone[i].logprob);
  }
  EXPECT_EQ(engine.scheduler().pages_used(), 0);
}

TEST(Engine, AMaskThatThrowsFailsItsRequestAlone) {
  const auto model = small_model();
  Engine engine(*model, {});
  Request request;
  request.prompt = {1, 2, 3};
  request.max_tokens = 4;
  const int64_t plain = engine.submit(request);
  request.mask = [](std::span<const int32_t> generated, std::span<uint8_t> allowed) {
    FB_CHECK(generated.size() < 2, "the grammar has no way on");
    for (size_t id = 0; id < allowed.size(); ++id) allowed[id] = id % 10 == 4;
  };
  const int64_t masked = engine.submit(request);
  std::vector<TokenEvent> events[2];
  for (const TokenEvent& event : run_all(engine)) events[event.request_id == masked].push_back(event);
  ASSERT_EQ(events[0].size(), 4u);
  ASSERT_EQ(events[1].size(), 3u);
  EXPECT_EQ(events[0][0].request_id, plain);
  EXPECT_EQ(events[1][0].token % 10, 4);
  EXPECT_EQ(events[1][1].token % 10, 4);
  EXPECT_EQ(events[1][2].finish, FinishReason::kError);
  EXPECT_EQ(events[1][2].error, "the grammar has no way on");
}

// A config that promises more ids than the embedding has: the forward pass throws before anybody has a hidden state.
TEST(Engine, AForwardPassThatFailsEndsAllThatWereInItAndNoOther) {
  const auto model = small_model();
  const_cast<ModelConfig&>(model->config()).vocab_size = 1000;
  Engine engine(*model, {.max_sequences = 2, .cache_bytes = 1 << 20});
  Request request;
  request.prompt = {1, 2, 3};
  request.max_tokens = 3;
  const int64_t first = engine.submit(request);
  request.prompt[1] = 500;
  const int64_t second = engine.submit(request);
  request.prompt[1] = 2;
  const int64_t third = engine.submit(request);
  const std::vector<TokenEvent> failures = engine.step();
  ASSERT_EQ(failures.size(), 2u);
  EXPECT_EQ(failures[0].request_id, first);
  EXPECT_EQ(failures[1].request_id, second);
  for (const TokenEvent& event : failures) {
    EXPECT_EQ(event.finish, FinishReason::kError);
    EXPECT_NE(event.error.find("expected an id from 0 to 96, got 500"), std::string::npos) << event.error;
  }
  const std::vector<TokenEvent> events = run_all(engine);
  ASSERT_EQ(events.size(), 3u);
  for (const TokenEvent& event : events) EXPECT_EQ(event.request_id, third);
  EXPECT_EQ(engine.scheduler().pages_used(), 0);
}

TEST(Engine, StopIdsWaitForMinTokens) {
  const auto model = small_model();
  SamplingParams sampling;
  sampling.temperature = 0;
  Engine engine(*model, {});
  Request request{.prompt = prompt_of(10), .max_tokens = 8, .sampling = sampling};
  for (const TokenEvent& event : generate(engine, request)) request.stop_ids.push_back(event.token);  // whatever greedy would say
  EXPECT_EQ(generate(engine, request).size(), 1u);
  request.sampling.min_tokens = 5;
  const std::vector<TokenEvent> events = generate(engine, request);
  EXPECT_GE(events.size(), 6u);
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(events[i].finish, FinishReason::kNone) << i;
}

// The log-probs of a prompt are those that the engine reports when it draws these tokens.
TEST(Engine, ScoresAPromptAsItScoresWhatItDraws) {
  const auto model = small_model();
  Engine engine(*model, {.step_tokens = 40});
  Request request{.prompt = prompt_of(70), .max_tokens = 20, .top_logprobs = 2};
  const std::vector<TokenEvent> drawn = generate(engine, request);
  for (const TokenEvent& event : drawn) EXPECT_TRUE(event.prompt_logprobs.empty());
  for (const TokenEvent& event : drawn) request.prompt.push_back(event.token);
  request.max_tokens = 2, request.prompt_logprobs = true;
  const std::vector<TokenEvent> behind = generate(engine, request);
  ASSERT_EQ(behind.size(), 2u);
  EXPECT_TRUE(behind[1].prompt_logprobs.empty());
  const std::vector<PromptLogprob>& scored = behind[0].prompt_logprobs;
  ASSERT_EQ(scored.size(), 89u);
  for (size_t i = 0; i < scored.size(); ++i) {
    EXPECT_EQ(scored[i].token.token, request.prompt[i + 1]);
    EXPECT_EQ(scored[i].top.size(), 2u);
    EXPECT_GE(scored[i].top[0].logprob, scored[i].top[1].logprob);
    EXPECT_GE(scored[i].top[0].logprob, scored[i].token.logprob);
  }
  for (size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(scored[69 + i].token.logprob, drawn[i].logprob) << i;
    EXPECT_EQ(scored[69 + i].top[1].token, drawn[i].top_logprobs[1].token) << i;
    EXPECT_EQ(scored[69 + i].top[1].logprob, drawn[i].top_logprobs[1].logprob) << i;
  }
}

TEST(Engine, AFullQueueIsSaid) {
  const auto model = small_model();
  Engine engine(*model, {.max_sequences = 2, .max_waiting = 1});
  const Request request{.prompt = {1}, .max_tokens = 2};
  for (int i = 0; i < 3; ++i) engine.submit(request);
  EXPECT_THROW(engine.submit(request), QueueFull);
  EXPECT_EQ(run_all(engine).size(), 6u);
  engine.submit(request);
}

TEST(Engine, RefusesWhatCannotRun) {
  const auto model = small_model();
  Engine engine(*model, {64, 16});
  Request request;
  EXPECT_THROW(engine.submit(request), Error);
  request.prompt = {5, 97};
  EXPECT_THROW(engine.submit(request), Error);
  request.prompt = prompt_of(64);
  EXPECT_THROW(engine.submit(request), Error);
  request.prompt = prompt_of(60);
  request.stop_ids = {97};
  EXPECT_THROW(engine.submit(request), Error);
  request.stop_ids.clear();
  request.max_tokens = 1000;  // cut to what fits
  EXPECT_EQ(generate(engine, request).size(), 4u);
  request.top_logprobs = 21;
  EXPECT_THROW(engine.submit(request), Error);
  request.top_logprobs = 20;
  request.sampling.logit_bias = {{97, 1}};
  EXPECT_THROW(engine.submit(request), Error);
  request.sampling.logit_bias = {{1, 1}, {1, 2}};
  EXPECT_THROW(engine.submit(request), Error);
  request.sampling = {.min_tokens = 1001};
  EXPECT_THROW(engine.submit(request), Error);
  EXPECT_TRUE(engine.idle());
  EXPECT_THROW(Engine(*model, {100000, 16}), Error);
  EXPECT_THROW(Engine(*model, {.step_tokens = 0}), Error);
  EXPECT_THROW(Engine(*model, {.cache_bytes = 100}), Error);
  // A cache of two pages: no sequence is longer.
  Engine small(*model, {.cache_bytes = 2 * KvCache::page_bytes(small_config(), 1)});
  EXPECT_THROW(small.submit({.prompt = prompt_of(128)}), Error);
  EXPECT_EQ(generate(small, {.prompt = prompt_of(120), .max_tokens = 100}).size(), 8u);
}

// A stored weight needs no f32 weight behind it: the second model's projections are NaN.
TEST(Engine, TwoModelsReadOneSetOfStoredWeights) {
  for (const Precision storage : {Precision::kBf16, Precision::kFp8, Precision::kInt8}) {
    SCOPED_TRACE(precision_name(storage));
    const auto first = small_model(), second = small_model();
    for (const ParameterSpec& spec : second->parameters().specs()) {
      const bool is_stored = spec.shape.size() >= 2 && spec.name != "model.embed_tokens.weight" && !spec.name.ends_with("mlp.gate.weight");
      if (is_stored) second->parameters().value(spec.name).fill_(std::numeric_limits<float>::quiet_NaN());
    }
    second->parameters().touch();
    second->read_stored(first->store_weights(storage));
    Engine engines[] = {Engine(*first, {0, 512}), Engine(*second, {0, 512})};
    std::vector<TokenEvent> events[2];
    SamplingParams greedy;
    greedy.temperature = 0;
    for (Engine& engine : engines) engine.submit({prompt_of(70), 20, {}, greedy});
    while (!engines[0].idle() || !engines[1].idle()) {  // in turn, a step each
      for (size_t i = 0; i < 2; ++i) {
        for (const TokenEvent& event : engines[i].step()) events[i].push_back(event);
      }
    }
    ASSERT_EQ(events[0].size(), 20u);
    ASSERT_EQ(events[1].size(), 20u);
    for (size_t i = 0; i < 20; ++i) {
      EXPECT_EQ(events[0][i].token, events[1][i].token) << i;
      EXPECT_EQ(events[0][i].logprob, events[1][i].logprob) << i;
    }
  }
}

}  // namespace
}  // namespace finback
