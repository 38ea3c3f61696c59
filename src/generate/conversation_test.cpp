#include "generate/conversation.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace finback {
namespace {

Tokenizer golden(const std::string& name) { return Tokenizer::load(FINBACK_SOURCE_DIR "/tests/golden/tokenizer/" + name); }

TEST(TextPrompt, OfAnEmptyTextStartsADocument) {
  const Tokenizer deepseek = golden("deepseek.json");
  EXPECT_EQ(text_prompt(deepseek, "It was"), deepseek.encode("It was", {.add_special = true}));
  EXPECT_EQ(text_prompt(deepseek, ""), std::vector<int32_t>{*deepseek.bos_id()});
  EXPECT_EQ(text_prompt(golden("gpt2.json"), ""), std::vector<int32_t>{});  // neither bos nor eos by DeepSeek's names
}

TEST(Conversation, GrowsTurnByTurn) {
  const Tokenizer tokenizer = golden("deepseek.json");
  Conversation talk{ChatFormat::kR1, {}};
  talk.add("system", "S");
  talk.add("user", "U1");
  const std::vector<int32_t> first = talk.prompt(tokenizer);
  EXPECT_EQ(first, encode_chat(tokenizer, {{"system", "S"}, {"user", "U1"}}, ChatFormat::kR1).ids);
  talk.add("assistant", "hm</think>A1");
  talk.add("user", "U2");
  const std::vector<int32_t> second = talk.prompt(tokenizer);
  EXPECT_EQ(tokenizer.decode(second),
            "<｜begin▁of▁sentence｜>S<｜User｜>U1<｜Assistant｜>A1<｜end▁of▁sentence｜><｜User｜>U2<｜Assistant｜><think>\n");
  EXPECT_TRUE(talk.opens_reasoning());
  EXPECT_FALSE(Conversation{}.opens_reasoning());
}

TEST(Conversation, RefusesUnknownRolesWhenAsked) {
  Conversation talk;
  talk.add("tool", "x");
  EXPECT_THROW((void)talk.prompt(golden("deepseek.json")), Error);
}

}  // namespace
}  // namespace finback
