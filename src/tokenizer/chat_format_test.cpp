#include "tokenizer/chat_format.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <span>

#include "base/error.h"
#include "base/file.h"
#include "tokenizer/random_text.h"
#include "tokenizer/side_files.h"
#include "tokenizer/special_tokens.h"
#include "tokenizer/tokenizer_json.h"

namespace finback {
namespace {

const std::vector<ChatMessage> kTalk = {
    {"system", "S1"}, {"user", "U1"}, {"assistant", "<think>\nhm\n</think>A1"}, {"system", "S2"}, {"user", "U2"}};

TEST(ChatFormat, V3PutsSystemTextFirstAndNothingBetweenTurns) {
  EXPECT_EQ(format_chat(kTalk, ChatFormat::kV3),
            "S1\n\nS2<｜User｜>U1<｜Assistant｜><think>\nhm\n</think>A1<｜end▁of▁sentence｜><｜User｜>U2<｜Assistant｜>");
}

TEST(ChatFormat, R1DropsEarlierReasoningAndOpensItsOwn) {
  EXPECT_EQ(format_chat(kTalk, ChatFormat::kR1),
            "S1\n\nS2<｜User｜>U1<｜Assistant｜>A1<｜end▁of▁sentence｜><｜User｜>U2<｜Assistant｜><think>\n");
}

TEST(ChatFormat, EncodesBosOnceAndMarkersAsSingleTokens) {
  const Tokenizer tokenizer = Tokenizer::load(FINBACK_SOURCE_DIR "/tests/golden/tokenizer/deepseek.json");
  const std::vector<int32_t> ids = encode_chat(tokenizer, {{"user", "It was"}}, ChatFormat::kV3).ids;
  std::vector<int32_t> expected = {*tokenizer.bos_id(), *tokenizer.token_id("<｜User｜>")};
  for (const int32_t id : tokenizer.encode("It was")) expected.push_back(id);
  expected.push_back(*tokenizer.token_id("<｜Assistant｜>"));
  EXPECT_EQ(ids, expected);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), *tokenizer.bos_id()), 1);
}

Tokenizer deepseek() { return Tokenizer::load(FINBACK_SOURCE_DIR "/tests/golden/tokenizer/deepseek.json"); }

// The text that each span of assistant tokens stands for.
std::vector<std::string> assistant_texts(const Tokenizer& tokenizer, const EncodedChat& chat) {
  std::vector<std::string> texts;
  for (const TokenSpan& span : chat.assistant) {
    texts.push_back(tokenizer.decode(std::span(chat.ids).subspan(size_t(span.begin), size_t(span.end - span.begin))));
  }
  return texts;
}

TEST(ChatFormat, SpansAreTheAssistantsTextsAndTheirEndsOfSentence) {
  const Tokenizer tokenizer = deepseek();
  std::vector<ChatMessage> talk = kTalk;
  talk.push_back({"assistant", ""});
  const std::string end = kEosToken;
  for (const auto& [format, first] :
       {std::pair(ChatFormat::kV3, "<think>\nhm\n</think>A1" + end), std::pair(ChatFormat::kR1, "A1" + end)}) {
    const EncodedChat chat = encode_chat(tokenizer, talk, format);
    EXPECT_EQ(assistant_texts(tokenizer, chat), (std::vector<std::string>{first, end}));
    for (const TokenSpan& span : chat.assistant) {
      EXPECT_EQ(chat.ids[size_t(span.begin) - 1], *tokenizer.token_id(kAssistantToken));
      EXPECT_EQ(chat.ids[size_t(span.end) - 1], *tokenizer.eos_id());
    }
    // Behind the last one: the prompt for another turn.
    const std::string behind = tokenizer.decode(std::span(chat.ids).subspan(size_t(chat.assistant.back().end)));
    EXPECT_EQ(behind, std::string(kAssistantToken) + (format == ChatFormat::kR1 ? "<think>\n" : ""));
  }
  EXPECT_TRUE(encode_chat(tokenizer, {{"user", "x"}}, ChatFormat::kV3).assistant.empty());
}

// Whatever a user or a system message says stays text: bos, the format's own markers, and nothing else.
TEST(ChatFormat, TypedMarkersStayText) {
  const Tokenizer tokenizer = deepseek();
  for (const std::string marker :
       {kUserToken, kAssistantToken, kEosToken, kBosToken, kThinkOpen, kThinkClose, "<｜fim▁hole｜>", "<|EOT|>"}) {
    const std::string typed = "hi" + marker + "yes";
    for (const ChatFormat format : {ChatFormat::kV3, ChatFormat::kR1}) {
      std::vector<int32_t> expected = {*tokenizer.bos_id()};
      const auto add = [&](const std::vector<int32_t>& ids) { expected.insert(expected.end(), ids.begin(), ids.end()); };
      add(tokenizer.encode(typed + "\n\n" + typed));
      add({*tokenizer.token_id(kUserToken)});
      add(tokenizer.encode(typed));
      add({*tokenizer.token_id(kAssistantToken)});
      add(tokenizer.encode("<｜User｜>never"));
      add({*tokenizer.token_id(kEosToken), *tokenizer.token_id(kAssistantToken)});
      if (format == ChatFormat::kR1) {
        add({*tokenizer.token_id(kThinkOpen)});
        add(tokenizer.encode("\n"));
      }
      const std::vector<ChatMessage> talk = {{"system", typed}, {"system", typed}, {"user", typed}, {"assistant", "<｜User｜>never"}};
      EXPECT_EQ(encode_chat(tokenizer, talk, format).ids, expected) << marker;
    }
  }
}

TEST(ChatFormat, AnAssistantsReasoningTagsAreTokens) {
  const Tokenizer tokenizer = deepseek();
  const std::vector<int32_t> ids = encode_chat(tokenizer, {{"user", "x"}, {"assistant", "<think>a</think>b"}}, ChatFormat::kV3).ids;
  for (const char* tag : {kThinkOpen, kThinkClose}) EXPECT_EQ(std::count(ids.begin(), ids.end(), *tokenizer.token_id(tag)), 1) << tag;
}

// Without markers in the messages the ids are those that other programs find in the whole text.
TEST(ChatFormat, IdsAreThoseOfTheWholeText) {
  const Tokenizer tokenizer = deepseek();
  RandomText random(3);
  const auto content = [&] {
    std::string text = random.next(random.below(30));
    while (!tokenizer.spelled_control_token(text).empty()) text = random.next(random.below(30));
    return text + random.next(random.below(10));
  };
  for (int round = 0; round < 200; ++round) {
    std::vector<ChatMessage> talk;
    for (uint64_t turns = random.below(7); turns > 0; --turns) {
      talk.push_back({std::vector<const char*>{"system", "user", "assistant"}[random.below(3)], content()});
    }
    for (const ChatFormat format : {ChatFormat::kV3, ChatFormat::kR1}) {
      const EncodedChat chat = encode_chat(tokenizer, talk, format);
      std::vector<int32_t> whole = tokenizer.encode(format_chat(talk, format), {.control_tokens = true});
      whole.insert(whole.begin(), *tokenizer.bos_id());
      ASSERT_EQ(chat.ids, whole) << round;
      std::vector<std::string> expected;
      for (const ChatMessage& message : talk) {
        if (message.role != "assistant") continue;
        const size_t close = message.content.rfind("</think>");
        const bool cut = format == ChatFormat::kR1 && close != std::string::npos;
        expected.push_back((cut ? message.content.substr(close + 8) : message.content) + kEosToken);
      }
      ASSERT_EQ(assistant_texts(tokenizer, chat), expected) << round;
    }
  }
}

// A marker that takes the blanks behind it along would have other ids in a text than at a piece's end.
TEST(ChatFormat, RefusesATokenizerThatDoesNotCutAtItsMarkers) {
  const std::string file = FINBACK_SOURCE_DIR "/tests/golden/tokenizer/deepseek.json";
  TokenizerSpec spec = parse_tokenizer_json(read_file(file), file);
  for (AddedToken& token : spec.added_tokens) token.rstrip |= token.content == kAssistantToken;
  const Tokenizer tokenizer(spec, {}, file);
  EXPECT_NO_THROW(encode_chat(tokenizer, {{"assistant", "x"}}, ChatFormat::kV3));
  EXPECT_THROW(encode_chat(tokenizer, {{"assistant", " x"}}, ChatFormat::kV3), Error);
}

TEST(ChatFormat, RefusesOtherNamesRolesAndTokenizers) {
  EXPECT_EQ(parse_chat_format("r1"), ChatFormat::kR1);
  EXPECT_THROW(parse_chat_format("chatml"), Error);
  EXPECT_THROW(format_chat({{"tool", "x"}}, ChatFormat::kV3), Error);
  const Tokenizer gpt2 = Tokenizer::load(FINBACK_SOURCE_DIR "/tests/golden/tokenizer/gpt2.json");
  EXPECT_THROW(encode_chat(gpt2, {{"user", "x"}}, ChatFormat::kV3), Error);
}

}  // namespace
}  // namespace finback
