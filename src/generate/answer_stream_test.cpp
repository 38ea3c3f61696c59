#include "generate/answer_stream.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace finback {
namespace {

const Tokenizer& deepseek() {
  static const Tokenizer tokenizer = Tokenizer::load(FINBACK_SOURCE_DIR "/tests/golden/tokenizer/deepseek.json");
  return tokenizer;
}

// One token for each byte of a text: characters and stop strings lie across tokens.
std::vector<int32_t> byte_tokens(const std::string& text) {
  std::vector<int32_t> ids;
  for (const char byte : text) {
    for (int32_t id = 0; id < deepseek().vocab_size(); ++id) {
      if (!deepseek().is_special(id) && deepseek().token_bytes(id) == std::string(1, byte)) {
        ids.push_back(id);
        break;
      }
    }
  }
  EXPECT_EQ(ids.size(), text.size());
  return ids;
}

std::vector<TokenEvent> events_of(const std::vector<int32_t>& ids, FinishReason finish) {
  std::vector<TokenEvent> events;
  for (const int32_t id : ids) events.push_back({1, id, -0.5f * float(events.size()), FinishReason::kNone});
  if (!events.empty()) events.back().finish = finish;
  return events;
}

struct Streamed {
  std::vector<std::string> pieces;  // one a token
  Answer answer;
};
Streamed stream(const std::vector<TokenEvent>& events, const TextOptions& options, const Tokenizer* tokenizer = &deepseek()) {
  AnswerStream stream(tokenizer, 3, options);
  Streamed result;
  for (const TokenEvent& event : events) result.pieces.push_back(stream.push(event));
  result.answer = stream.answer();
  return result;
}

TEST(AnswerStream, StreamsWholeCharactersAndCounts) {
  const Streamed streamed = stream(events_of(byte_tokens("aé🐋"), FinishReason::kLength), {});
  EXPECT_EQ(streamed.pieces, (std::vector<std::string>{"a", "", "é", "", "", "", "🐋"}));
  const Answer& answer = streamed.answer;
  EXPECT_EQ(answer.text, "aé🐋");
  EXPECT_EQ(answer.ids.size(), 7u);
  EXPECT_EQ(answer.logprobs[2], -1.0f);
  EXPECT_EQ(answer.usage.prompt_tokens, 3);
  EXPECT_EQ(answer.usage.completion_tokens, 7);
  EXPECT_EQ(answer.usage.total_tokens(), 10);
  EXPECT_EQ(answer.usage.prompt_cache_miss_tokens(), 3);
  EXPECT_EQ(finish_reason_name(answer.finish), "length");
}

TEST(AnswerStream, ACharacterThatNeverBecameWholeIsReplacedAtTheEnd) {
  const std::vector<int32_t> ids = byte_tokens("aé");
  const Streamed streamed = stream(events_of({ids[0], ids[1]}, FinishReason::kLength), {});
  EXPECT_EQ(streamed.pieces, (std::vector<std::string>{"a", "\xEF\xBF\xBD"}));
}

TEST(AnswerStream, StopStringsEndTheTextAndTheAnswer) {
  const std::vector<int32_t> ids = byte_tokens("say END or\n\nno");
  const Streamed streamed = stream(events_of(ids, FinishReason::kLength), {.stop = {"\n\n", "END"}});
  EXPECT_EQ(streamed.answer.text, "say ");
  EXPECT_EQ(finish_reason_name(streamed.answer.finish), "stop");
  EXPECT_EQ(streamed.answer.usage.completion_tokens, 7);  // what came behind is not part of the answer
  EXPECT_EQ(streamed.answer.ids.size(), 7u);
}

TEST(AnswerStream, HeldBackTextComesWhenTheAnswerEndsOtherwise) {
  const Streamed streamed = stream(events_of(byte_tokens("xEN"), FinishReason::kLength), {.stop = {"END"}});
  EXPECT_EQ(streamed.pieces, (std::vector<std::string>{"x", "", "EN"}));
  EXPECT_EQ(finish_reason_name(streamed.answer.finish), "length");
}

// The last token that the engine may make completes a stop string: that is why the answer ends.
TEST(AnswerStream, AStopStringInTheLastTokenIsAStop) {
  EXPECT_EQ(finish_reason_name(stream(events_of(byte_tokens("xEND"), FinishReason::kLength), {.stop = {"END"}}).answer.finish), "stop");
}

// As in vLLM: a stop id that is an ordinary token is part of the text, a special one is not.
TEST(AnswerStream, AStopIdIsCountedAndHasTextUnlessItIsSpecial) {
  std::vector<int32_t> ids = byte_tokens("ab.");  // the full stop as a stop id: an ordinary token with text
  const Streamed ordinary = stream(events_of(ids, FinishReason::kStop), {});
  EXPECT_EQ(ordinary.answer.text, "ab.");
  EXPECT_EQ(ordinary.answer.usage.completion_tokens, 3);
  EXPECT_EQ(finish_reason_name(ordinary.answer.finish), "stop");
  ids.back() = *deepseek().eos_id();
  EXPECT_EQ(stream(events_of(ids, FinishReason::kStop), {}).answer.text, "ab");
}

TEST(AnswerStream, SpecialTokensAreShownWhenAskedFor) {
  std::vector<int32_t> ids = {*deepseek().eos_id()};
  for (const int32_t id : byte_tokens("a")) ids.push_back(id);
  EXPECT_EQ(stream(events_of(ids, FinishReason::kLength), {}).answer.text, "a");
  EXPECT_EQ(stream(events_of(ids, FinishReason::kLength), {.skip_special_tokens = false}).answer.text, "<｜end▁of▁sentence｜>a");
}

TEST(AnswerStream, CountsReasoningFromTagToTag) {
  const int32_t open = *deepseek().token_id("<think>"), close = *deepseek().token_id("</think>"), a = byte_tokens("a")[0];
  const auto reasoning = [&](const std::vector<int32_t>& ids, bool inside) {
    return stream(events_of(ids, FinishReason::kLength), {.in_reasoning = inside}).answer.usage.reasoning_tokens;
  };
  EXPECT_EQ(reasoning({a, a, close, a}, true), 3);
  EXPECT_EQ(reasoning({a, open, a, close, a}, false), 3);
  EXPECT_EQ(reasoning({a, a}, true), 2);
  EXPECT_EQ(reasoning({a, close, a}, false), 0);
  const Tokenizer plain = Tokenizer::load(FINBACK_SOURCE_DIR "/tests/golden/tokenizer/gpt2.json");  // has no tags
  EXPECT_EQ(stream(events_of({1, 2}, FinishReason::kLength), {.in_reasoning = true}, &plain).answer.usage.reasoning_tokens, 0);
}

TEST(AnswerStream, WithoutATokenizerThereAreIdsAlone) {
  const Streamed streamed = stream(events_of({5, 6}, FinishReason::kStop), {}, nullptr);
  EXPECT_EQ(streamed.answer.ids, (std::vector<int32_t>{5, 6}));
  EXPECT_EQ(streamed.answer.text, "");
  EXPECT_EQ(finish_reason_name(streamed.answer.finish), "stop");
}

TEST(AnswerStream, ItsJsonHasOpenAisNames) {
  const Answer answer = stream(events_of(byte_tokens("ab"), FinishReason::kLength), {}).answer;
  const Json json = answer_json(answer);
  EXPECT_EQ(json["ids"], Json(answer.ids));
  EXPECT_EQ(json["logprobs"], Json({0.0, -0.5}));
  EXPECT_EQ(json["text"], "ab");
  EXPECT_EQ(json["finish_reason"], "length");
  EXPECT_EQ(json["usage"]["total_tokens"], 5);
  EXPECT_FALSE(json.contains("top_logprobs"));
}

TEST(AnswerStream, TakesWhatElseTheFirstTokenBrings) {
  std::vector<TokenEvent> events = events_of(byte_tokens("ab"), FinishReason::kLength);
  for (TokenEvent& event : events) event.top_logprobs = {{7, -0.25f}, {8, -2}};
  events[0].cache.emplace();
  events[0].cache->memory_tokens = 2, events[0].cache->computed_tokens = 1;
  const Answer answer = stream(events, {}).answer;
  EXPECT_EQ(answer.usage.prompt_cache_hit_tokens, 2);
  EXPECT_EQ(answer.cache.computed_tokens, 1);
  EXPECT_EQ(dump_json_line(answer_json(answer)["top_logprobs"]),
            R"([[{"id":7,"logprob":-0.25},{"id":8,"logprob":-2.0}],[{"id":7,"logprob":-0.25},{"id":8,"logprob":-2.0}]])");
}

}  // namespace
}  // namespace finback
