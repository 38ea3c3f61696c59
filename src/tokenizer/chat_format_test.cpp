#include "tokenizer/chat_format.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.h"

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
  const std::vector<int32_t> ids = encode_chat(tokenizer, {{"user", "It was"}}, ChatFormat::kV3);
  std::vector<int32_t> expected = {*tokenizer.bos_id(), *tokenizer.token_id("<｜User｜>")};
  for (const int32_t id : tokenizer.encode("It was")) expected.push_back(id);
  expected.push_back(*tokenizer.token_id("<｜Assistant｜>"));
  EXPECT_EQ(ids, expected);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), *tokenizer.bos_id()), 1);
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
