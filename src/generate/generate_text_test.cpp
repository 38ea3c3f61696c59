#include "generate/generate_text.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "generate/conversation.h"
#include "model/test_models.h"

namespace finback {
namespace {

const Tokenizer& deepseek() {
  static const Tokenizer tokenizer = Tokenizer::load(FINBACK_SOURCE_DIR "/tests/golden/tokenizer/deepseek.json");
  return tokenizer;
}

std::unique_ptr<Transformer> text_model() {
  return test::lively_model(test::small_config(fmt::format(R"({{"vocab_size": {}}})", deepseek().vocab_size())), /*trainable=*/false);
}

Request request_of(const std::string& prompt, uint64_t seed, int64_t max_tokens = 24) {
  Request request;
  request.prompt = text_prompt(deepseek(), prompt);
  request.max_tokens = max_tokens;
  request.key.seed = seed;
  return request;
}

// Three bytes from the middle of a text that stand nowhere before: as a stop string they end it there.
std::string stop_inside(const std::string& text) {
  size_t at = text.size() / 2;
  while (text.find(text.substr(at, 3)) != at) ++at;
  EXPECT_LT(at + 8, text.size()) << text;
  return text.substr(at, 3);
}

TEST(GenerateText, IsTheEnginesAnswerAsText) {
  const auto model = text_model();
  Engine engine(*model, {});
  const Request request = request_of("It was", 4);
  std::vector<int32_t> ids;
  for (const TokenEvent& event : generate(engine, request)) ids.push_back(event.token);
  std::string streamed;
  const TimedAnswer timed = generate_text(engine, &deepseek(), request, {}, [&](std::string_view text) { streamed += text; });
  EXPECT_EQ(timed.answer.ids, ids);
  EXPECT_EQ(timed.answer.text, deepseek().decode(ids, /*skip_special=*/true));
  EXPECT_EQ(streamed, timed.answer.text);
  EXPECT_EQ(finish_reason_name(timed.answer.finish), "length");
  EXPECT_GT(timed.prefill_seconds, 0);
  EXPECT_GT(timed.decode_seconds, 0);
}

TEST(GenerateText, AStopStringEndsTheRequestInTheEngine) {
  const auto model = text_model();
  Engine engine(*model, {});
  const Request request = request_of("It was", 4);
  const Answer whole = generate_text(engine, &deepseek(), request, {}).answer;
  const std::string stop = stop_inside(whole.text);
  const Answer cut = generate_text(engine, &deepseek(), request, {.stop = {"never", stop}}).answer;
  EXPECT_EQ(cut.text, whole.text.substr(0, whole.text.find(stop)));
  EXPECT_EQ(finish_reason_name(cut.finish), "stop");
  EXPECT_LT(cut.usage.completion_tokens, 24);
  EXPECT_TRUE(engine.idle());
  EXPECT_EQ(generate_text(engine, &deepseek(), request, {}).answer.text, whole.text);  // nothing of it is left behind
}

// What a server does: one loop over the engine, a stream for each answer that runs in it.
TEST(AnswerStreams, StandSideBySideOverOneEngine) {
  const auto model = text_model();
  Engine engine(*model, {});
  struct Case {
    Request request;
    TextOptions options;
    Answer alone;
  };
  std::vector<Case> cases = {{request_of("It was", 1), {}, {}}, {request_of("a dark", 2, 5), {}, {}}, {request_of("and", 3), {}, {}}};
  cases[2].options.stop = {stop_inside(generate_text(engine, &deepseek(), cases[2].request, {}).answer.text)};
  for (Case& c : cases) c.alone = generate_text(engine, &deepseek(), c.request, c.options).answer;

  std::map<int64_t, AnswerStream> streams;
  std::vector<int64_t> ids;
  for (const Case& c : cases) {
    ids.push_back(engine.submit(c.request));
    streams.emplace(ids.back(), AnswerStream(&deepseek(), int64_t(c.request.prompt.size()), c.options));
  }
  while (!engine.idle()) {
    for (const TokenEvent& event : engine.step()) {
      AnswerStream& stream = streams.at(event.request_id);
      stream.push(event);
      if (stream.finished()) engine.cancel(event.request_id);
    }
  }
  for (size_t i = 0; i < cases.size(); ++i) {
    const Answer& answer = streams.at(ids[i]).answer();
    EXPECT_EQ(answer_json(answer), answer_json(cases[i].alone)) << i;
  }
}

TEST(GenerateText, AnAnswerEndsBehindAStopId) {
  const auto model = text_model();
  Engine engine(*model, {});
  Request request = request_of("It was", 4);
  const Answer whole = generate_text(engine, &deepseek(), request, {}).answer;
  request.stop_ids = {whole.ids[5]};
  const Answer cut = generate_text(engine, &deepseek(), request, {}).answer;
  const size_t at = size_t(std::find(whole.ids.begin(), whole.ids.end(), whole.ids[5]) - whole.ids.begin());
  EXPECT_EQ(cut.ids, std::vector<int32_t>(whole.ids.begin(), whole.ids.begin() + ptrdiff_t(at) + 1));
  EXPECT_EQ(cut.text, deepseek().decode(std::span(whole.ids).first(at + 1), /*skip_special=*/true));
}

TEST(GenerateText, ARefusedRequestLeavesTheEngineIdle) {
  const auto model = text_model();
  Engine engine(*model, {});
  Request request = request_of("x", 1);
  request.prompt = {-1};
  EXPECT_THROW(generate_text(engine, &deepseek(), request, {}), Error);
  EXPECT_TRUE(engine.idle());
}

// As when nobody reads the answer any more.
TEST(GenerateText, AnErrorOfTheReaderLeavesTheEngineIdle) {
  const auto model = text_model();
  Engine engine(*model, {});
  EXPECT_THROW(generate_text(engine, &deepseek(), request_of("It was", 4), {}, [](std::string_view) { throw Error("gone"); }), Error);
  EXPECT_TRUE(engine.idle());
}

// The sample of a training run: exactly so many tokens, special ones shown, the end of a prompt that is too long.
TEST(ContinueText, IsTheEnginesTextWithTheEndOfALongPrompt) {
  const auto model = text_model();
  const int64_t limit = model->config().max_position_embeddings, tokens = 64;
  std::string prompt;
  while (int64_t(deepseek().encode(prompt).size()) < 2 * limit) prompt += "It was a dark night. ";
  const std::vector<int32_t> ids = deepseek().encode(prompt, {.add_special = true});
  Request request;
  request.prompt.assign(ids.end() - (limit - tokens), ids.end());
  request.max_tokens = tokens;
  Engine engine(*model, {});
  bool special_seen = false;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    request.sampling = {.temperature = 0.8, .top_p = 0.95};
    request.key.seed = seed;
    std::vector<int32_t> expected;
    for (const TokenEvent& event : generate(engine, request)) expected.push_back(event.token);
    special_seen |= std::any_of(expected.begin(), expected.end(), [](int32_t id) { return deepseek().is_special(id); });
    EXPECT_EQ(expected.size(), size_t(tokens));
    EXPECT_EQ(continue_text(*model, deepseek(), prompt, tokens, request.sampling, request.key), deepseek().decode(expected)) << seed;
  }
  EXPECT_TRUE(special_seen);
}

}  // namespace
}  // namespace finback
