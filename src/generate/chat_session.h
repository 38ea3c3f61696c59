// A conversation with one model: turns, the context they take, and what happens at its end. When a message and room for its answer do not fit, the
// oldest turns are dropped, never the system message; a message that alone is too long is refused and the conversation stays as it was. Knows no terminal.
// One thread.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "generate/answer_memory.h"
#include "generate/conversation.h"
#include "generate/generate_text.h"

namespace finback {

struct ChatOptions {
  ChatFormat format = ChatFormat::kV3;
  std::string system;          // empty: none
  int64_t context_tokens = 0;  // of conversation and answer together
  int64_t max_tokens = 0;      // of an answer
  SamplingParams sampling;
  uint64_t seed = 0;  // of the first turn; each turn has its own
  std::vector<int32_t> stop_ids;
  std::vector<std::string> stop = {};  // texts that end an answer, too
};

struct ChatTurn {
  TimedAnswer timed;
  int64_t dropped = 0;        // turns that had to go
  bool stopped = false;       // by the user; what had come stays, a turn without any answer does not
  bool context_full = false;  // the answer ended where the context does
};

// The least number of 0, ..., most for which fits() says yes; `most` when none does. Asks about log2(most) times. REQUIRES: once it fits, more fits too.
int64_t fewest_that_fit(int64_t most, const std::function<bool(int64_t)>& fits);

class ChatSession {
 public:
  // All outlive the session. memory: own answers are sent back as the ids that were drawn; may be null.
  ChatSession(Engine& engine, const Tokenizer& tokenizer, ChatOptions options, AnswerMemory* memory = nullptr);
  // The user's next message and its answer. on_begin: turns were dropped, the answer comes next. `stop` is asked between two steps of the engine.
  // Throws Error for a message that does not fit, and what the engine throws; the conversation is as before then.
  ChatTurn say(const std::string& text, const std::function<void(std::string_view)>& on_text, const std::function<bool()>& stop,
               const std::function<void(const ChatTurn&)>& on_begin = {});
  // Goes on with these messages, their system message included. Throws Error for an unknown role and for a last message of the user.
  void load(std::vector<ChatMessage> messages);
  // Forgets all turns.
  void reset();
  const std::vector<ChatMessage>& messages() const { return conversation_.messages; }
  // Tokens of the conversation so far, and of all that fit.
  int64_t used_tokens() const { return used_; }
  int64_t context_tokens() const { return options_.context_tokens; }

 private:
  std::vector<int32_t> prompt();
  std::vector<int32_t> fit(ChatTurn& turn);

  Engine& engine_;
  const Tokenizer& tokenizer_;
  ChatOptions options_;
  AnswerMemory* memory_;
  Conversation conversation_;
  int64_t used_ = 0, turns_ = 0;
};

}  // namespace finback
