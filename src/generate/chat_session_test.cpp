#include "generate/chat_session.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "model/test_models.h"

namespace finback {
namespace {

const Tokenizer& deepseek() {
  static const Tokenizer tokenizer = Tokenizer::load(FINBACK_SOURCE_DIR "/tests/golden/tokenizer/deepseek.json");
  return tokenizer;
}

// A conversation with a small model in a context of 64 tokens, answers of at most 8.
class ChatSessions : public testing::Test {
 protected:
  std::unique_ptr<Transformer> model =
      test::lively_model(test::small_config(fmt::format(R"({{"vocab_size": {}}})", deepseek().vocab_size())), /*trainable=*/false);
  Engine engine{*model, {.max_sequence_tokens = 64}};
  ChatOptions options{
      .format = ChatFormat::kV3, .system = "Be brief.", .context_tokens = 64, .max_tokens = 8, .sampling = {}, .stop_ids = {}};
  std::function<bool()> never = [] { return false; };
};

TEST_F(ChatSessions, GrowTurnByTurnAndCountTheirContext) {
  ChatSession session(engine, deepseek(), options);
  const int64_t empty = session.used_tokens();
  std::string shown;
  const ChatTurn turn = session.say(
      "hello", [&](std::string_view text) { shown += text; }, never);
  EXPECT_EQ(shown, turn.timed.answer.text);
  EXPECT_EQ(turn.timed.answer.ids.size(), 8u);
  EXPECT_GT(session.used_tokens(), empty + 8);
  EXPECT_EQ(session.messages().size(), 3u);
  EXPECT_FALSE(turn.stopped);
  EXPECT_FALSE(turn.context_full);
  session.reset();
  EXPECT_EQ(session.messages().size(), 1u);
  EXPECT_EQ(session.used_tokens(), empty);
}

TEST_F(ChatSessions, TheOldestTurnsGoAndTheSystemMessageStays) {
  ChatSession session(engine, deepseek(), options);
  int64_t dropped = 0, announced = 0;
  for (int i = 0; i < 8; ++i) {
    const ChatTurn turn = session.say("and then?", {}, never, [&](const ChatTurn& begun) { announced += begun.dropped; });
    dropped += turn.dropped;
    EXPECT_LE(session.used_tokens(), 64);
  }
  EXPECT_GT(dropped, 0);
  EXPECT_EQ(announced, dropped);
  EXPECT_EQ(session.messages()[0].role, "system");
  EXPECT_EQ(session.messages()[1].role, "user");
  EXPECT_EQ(int64_t(session.messages().size()), 1 + 2 * (8 - dropped));
}

// A conversation of a thousand turns is rendered ten times and not a thousand.
TEST(FewestThatFit, IsFoundWithFewQuestions) {
  for (const int64_t most : {0, 1, 2, 3, 10, 1000}) {
    for (int64_t least = 0; least <= most + 1; least += most > 10 ? 37 : 1) {
      int asked = 0;
      const auto fits = [&](int64_t n) {
        ++asked;
        return n >= least;
      };
      EXPECT_EQ(fewest_that_fit(most, fits), std::min(least, most)) << most;
      EXPECT_LE(asked, 10);
    }
  }
}

TEST_F(ChatSessions, AMessageThatNeverFitsIsRefusedAndChangesNothing) {
  ChatSession session(engine, deepseek(), options);
  session.say("hello", {}, never);
  const std::vector<ChatMessage> before = session.messages();
  std::string much;
  for (int i = 0; i < 100; ++i) much += "word ";
  EXPECT_THROW(session.say(much, {}, never), Error);
  ASSERT_EQ(session.messages().size(), before.size());
  for (size_t i = 0; i < before.size(); ++i) EXPECT_EQ(session.messages()[i].content, before[i].content);
  EXPECT_EQ(session.say("hello", {}, never).timed.answer.ids.size(), 8u);
}

TEST_F(ChatSessions, AStoppedAnswerStaysAsFarAsItCame) {
  ChatSession session(engine, deepseek(), options);
  int asked = 0;
  const ChatTurn cut = session.say("hello", {}, [&] { return ++asked > 4; });
  EXPECT_TRUE(cut.stopped);
  EXPECT_FALSE(cut.timed.answer.text.empty());
  EXPECT_LT(cut.timed.answer.ids.size(), 8u);
  EXPECT_EQ(session.messages().back().content, cut.timed.answer.text);
  const size_t messages = session.messages().size();
  const ChatTurn none = session.say("again", {}, [] { return true; });
  EXPECT_TRUE(none.stopped);
  EXPECT_EQ(session.messages().size(), messages);
  EXPECT_TRUE(engine.idle());
}

TEST_F(ChatSessions, AnAnswerThatFillsTheContextSaysSo) {
  options.max_tokens = 1000;
  ChatSession session(engine, deepseek(), options);
  const ChatTurn turn = session.say("hello", {}, never);
  EXPECT_TRUE(turn.context_full);
  EXPECT_EQ(session.used_tokens(), 64);
}

}  // namespace
}  // namespace finback
