#include "generate/answer_memory.h"

#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "generate/chat_session.h"
#include "model/test_models.h"

namespace finback {
namespace {

const Tokenizer& chat_tokenizer() {
  static const Tokenizer tokenizer = Tokenizer::load(FINBACK_SOURCE_DIR "/tests/golden/tokenizer/deepseek.json");
  return tokenizer;
}

// A token a byte: ids that encode() never gives for a text of words.
std::vector<int32_t> letter_by_letter(const std::string& text) {
  std::vector<int32_t> ids;
  for (const char c : text) {
    const std::vector<int32_t> id = chat_tokenizer().encode(std::string(1, c));
    ids.insert(ids.end(), id.begin(), id.end());
  }
  return ids;
}

const std::vector<ChatMessage> kGreeting = {{"user", "who"}, {"assistant", "hello there"}, {"user", "and"}};

TEST(AnswerMemories, GiveTheIdsThatWereDrawn) {
  AnswerMemory memory;
  const std::vector<int32_t> drawn = letter_by_letter("hello there"), encoded = chat_tokenizer().encode("hello there");
  ASSERT_NE(drawn, encoded);
  EXPECT_EQ(memory.encode(chat_tokenizer(), kGreeting, ChatFormat::kV3), encode_chat(chat_tokenizer(), kGreeting, ChatFormat::kV3).ids);
  std::vector<int32_t> ended = drawn;
  ended.push_back(*chat_tokenizer().eos_id());
  memory.remember(chat_tokenizer(), "hello there", ended);
  const std::vector<int32_t> ids = memory.encode(chat_tokenizer(), kGreeting, ChatFormat::kV3);
  EXPECT_EQ(chat_tokenizer().decode(ids), chat_tokenizer().decode(encode_chat(chat_tokenizer(), kGreeting, ChatFormat::kV3).ids));
  EXPECT_NE(std::search(ids.begin(), ids.end(), drawn.begin(), drawn.end()), ids.end());
  EXPECT_EQ(std::search(ids.begin(), ids.end(), encoded.begin(), encoded.end()), ids.end());
  EXPECT_EQ(std::count(ids.begin(), ids.end(), *chat_tokenizer().eos_id()), 1);
  EXPECT_EQ(memory.find(chat_tokenizer(), "hello ther"), nullptr);
}

TEST(AnswerMemories, KeepNothingThatIsNotTheText) {
  AnswerMemory memory;
  memory.remember(chat_tokenizer(), "hello", letter_by_letter("hello!"));  // a stop string cut it
  memory.remember(chat_tokenizer(), "", {});
  EXPECT_EQ(memory.size(), 0);
}

TEST(AnswerMemories, R1sFormatFindsWhatIsBehindTheReasoning) {
  const auto close = chat_tokenizer().token_id(kThinkClose);
  if (!close) GTEST_SKIP() << "no reasoning tags in this tokenizer";
  AnswerMemory memory;
  std::vector<int32_t> ids = letter_by_letter("hm");
  ids.push_back(*close);
  const std::vector<int32_t> answer = letter_by_letter("hello there");
  ids.insert(ids.end(), answer.begin(), answer.end());
  const std::string text = chat_tokenizer().decode(ids);
  memory.remember(chat_tokenizer(), text, ids);
  const std::vector<int32_t> encoded = memory.encode(chat_tokenizer(), {{"user", "who"}, {"assistant", text}}, ChatFormat::kR1);
  EXPECT_NE(std::search(encoded.begin(), encoded.end(), answer.begin(), answer.end()), encoded.end());
}

TEST(AnswerMemories, LastInAFileAndBelieveItNoMoreThanItsText) {
  const std::filesystem::path file = std::filesystem::path(testing::TempDir()) / fmt::format("finback_answers_{}.json", ::getpid());
  AnswerMemory memory;
  memory.remember(chat_tokenizer(), "hello there", letter_by_letter("hello there"));
  memory.write(file);
  AnswerMemory other;
  other.remember(chat_tokenizer(), "good day", letter_by_letter("good day"));
  other.write(file);  // joins
  AnswerMemory again;
  again.read(file);
  EXPECT_EQ(again.size(), 2);
  ASSERT_TRUE(again.find(chat_tokenizer(), "hello there"));
  EXPECT_EQ(*again.find(chat_tokenizer(), "hello there"), letter_by_letter("hello there"));
  // Whoever writes that a text has other ids is not believed.
  write_file_atomic(file, fmt::format(R"({{"format": 1, "answers": [["{:016x}", [{}]]]}})", xxhash64("hello there"),
                                      fmt::join(letter_by_letter("hello thorn"), ", ")));
  AnswerMemory lied;
  lied.read(file);
  EXPECT_EQ(lied.size(), 1);
  EXPECT_EQ(lied.find(chat_tokenizer(), "hello there"), nullptr);
  for (const char* bad : {"", "nothing", "[]", R"({"format": 2, "answers": []})", R"({"format": 1, "answers": [1, ["x"], [1, 2]]})"}) {
    write_file_atomic(file, bad);
    AnswerMemory empty;
    empty.read(file);
    EXPECT_EQ(empty.size(), 0) << bad;
  }
  std::filesystem::remove(file);
}

TEST(AnswerMemories, TheLongestUnusedGoesFirst) {
  AnswerMemory memory(2 * (64 + 4 * 5));
  for (const char* text : {"aaaaa", "bbbbb"}) memory.remember(chat_tokenizer(), text, letter_by_letter(text));
  EXPECT_TRUE(memory.find(chat_tokenizer(), "aaaaa"));
  memory.remember(chat_tokenizer(), "ccccc", letter_by_letter("ccccc"));
  EXPECT_TRUE(memory.find(chat_tokenizer(), "aaaaa"));
  EXPECT_FALSE(memory.find(chat_tokenizer(), "bbbbb"));
}

// The turn of a conversation whose answer would be encoded otherwise: all of it is found. Without the memory the pages end at the first token that differs.
TEST(AnswerMemories, AConversationIsFoundTokenByTokenAlsoWhenItIsLoaded) {
  const auto model = test::lively_model(
      test::small_config(fmt::format(R"({{"vocab_size": {}, "max_position_embeddings": 512}})", chat_tokenizer().vocab_size())), false);
  ChatOptions options{.format = ChatFormat::kV3, .system = "", .context_tokens = 512, .max_tokens = 150, .sampling = {}, .stop_ids = {}};
  for (int32_t id = 0; id < int32_t(chat_tokenizer().vocab_size()); ++id) {
    if (chat_tokenizer().is_special(id) || !chat_tokenizer().has_token(id)) options.sampling.logit_bias.emplace_back(id, -100.0);
  }
  const auto hits_of_second_turn = [&](bool remembers, bool loaded) {
    AnswerMemory memory;
    Engine engine(*model, {.max_sequence_tokens = 512});
    ChatSession session(engine, chat_tokenizer(), options, remembers ? &memory : nullptr);
    session.say("hello", {}, [] { return false; });
    ChatSession other(engine, chat_tokenizer(), options, remembers ? &memory : nullptr);
    if (loaded) other.load(session.messages());
    return (loaded ? other : session).say("and then?", {}, [] { return false; }).timed.answer.usage.prompt_cache_hit_tokens;
  };
  EXPECT_EQ(hits_of_second_turn(true, false), 128);
  EXPECT_EQ(hits_of_second_turn(true, true), 128);
  EXPECT_LT(hits_of_second_turn(false, false), 128);
}

}  // namespace
}  // namespace finback
