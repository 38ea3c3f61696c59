#include "generate/chat_session.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace finback {

ChatSession::ChatSession(Engine& engine, const Tokenizer& tokenizer, ChatOptions options)
    : engine_(engine), tokenizer_(tokenizer), options_(std::move(options)) {
  conversation_.format = options_.format;
  reset();
}

void ChatSession::reset() {
  conversation_.messages.clear();
  if (!options_.system.empty()) conversation_.add("system", options_.system);
  used_ = int64_t(conversation_.prompt(tokenizer_).size());
  FB_CHECK(used_ < options_.context_tokens, "system message: expected fewer than the {} tokens of the context, got {}",
           options_.context_tokens, used_);
}

// The user's first message that is not the newest one, and what was answered.
bool ChatSession::drop_oldest() {
  std::vector<ChatMessage>& messages = conversation_.messages;
  const auto is_user = [](const ChatMessage& message) { return message.role == "user"; };
  const auto first = std::find_if(messages.begin(), messages.end(), is_user);
  const auto second = first == messages.end() ? first : std::find_if(first + 1, messages.end(), is_user);
  if (second == messages.end()) return false;
  messages.erase(first, second);
  return true;
}

std::vector<int32_t> ChatSession::fit(ChatTurn& turn) {
  // An answer should have a quarter of the context, or what it may have at most.
  const int64_t context = options_.context_tokens, room = std::max<int64_t>(1, std::min(options_.max_tokens, context / 4));
  std::vector<int32_t> prompt = conversation_.prompt(tokenizer_);
  while (int64_t(prompt.size()) + room > context && drop_oldest()) {
    ++turn.dropped;
    prompt = conversation_.prompt(tokenizer_);
  }
  FB_CHECK(int64_t(prompt.size()) < context, "the message takes {} tokens, the context has {}: it was not sent. Hint: a shorter one",
           prompt.size(), context);
  return prompt;
}

ChatTurn ChatSession::say(const std::string& text, const std::function<void(std::string_view)>& on_text, const std::function<bool()>& stop,
                          const std::function<void(const ChatTurn&)>& on_begin) {
  std::vector<ChatMessage> before = conversation_.messages;
  ChatTurn turn;
  try {
    conversation_.add("user", text);
    Request request{.prompt = fit(turn), .max_tokens = options_.max_tokens, .stop_ids = options_.stop_ids, .sampling = options_.sampling};
    request.key.seed = options_.seed + uint64_t(turns_++);
    if (on_begin) on_begin(turn);
    turn.timed = generate_text(engine_, &tokenizer_, std::move(request),
                               {.stop = options_.stop, .in_reasoning = conversation_.opens_reasoning()}, on_text, stop);
  } catch (...) {
    conversation_.messages = std::move(before);
    throw;
  }
  const Answer& answer = turn.timed.answer;
  turn.stopped = answer.finish == FinishReason::kNone;
  if (turn.stopped && answer.text.empty()) {
    conversation_.messages = std::move(before);
    return turn;
  }
  conversation_.add("assistant", answer.text);
  used_ = answer.usage.total_tokens();
  turn.context_full = answer.finish == FinishReason::kLength && used_ >= options_.context_tokens;
  return turn;
}

}  // namespace finback
