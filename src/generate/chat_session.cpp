#include "generate/chat_session.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace finback {
namespace {

bool is_of_user(const ChatMessage& message) { return message.role == "user"; }
int64_t turns_of(const std::vector<ChatMessage>& messages) { return std::count_if(messages.begin(), messages.end(), is_of_user); }

// Without the first messages of the user and what was answered to them; what stands before the first one stays.
std::vector<ChatMessage> without_oldest(std::vector<ChatMessage> messages, int64_t turns) {
  const auto first = std::find_if(messages.begin(), messages.end(), is_of_user);
  auto kept = first;
  for (; turns > 0; --turns) kept = std::find_if(kept + 1, messages.end(), is_of_user);
  messages.erase(first, kept);
  return messages;
}

}  // namespace

int64_t fewest_that_fit(int64_t most, const std::function<bool(int64_t)>& fits) {
  int64_t low = 0, high = most;  // the answer is one of these
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    fits(middle) ? high = middle : low = middle + 1;
  }
  return low;
}

ChatSession::ChatSession(Engine& engine, const Tokenizer& tokenizer, ChatOptions options, AnswerMemory* memory)
    : engine_(engine), tokenizer_(tokenizer), options_(std::move(options)), memory_(memory) {
  conversation_.format = options_.format;
  reset();
}

void ChatSession::reset() {
  conversation_.messages.clear();
  if (!options_.system.empty()) conversation_.add("system", options_.system);
  used_ = int64_t(prompt().size());
  FB_CHECK(used_ < options_.context_tokens, "system message: expected fewer than the {} tokens of the context, got {}",
           options_.context_tokens, used_);
}

std::vector<int32_t> ChatSession::prompt() {
  return memory_ ? memory_->encode(tokenizer_, conversation_.messages, conversation_.format) : conversation_.prompt(tokenizer_);
}

void ChatSession::load(std::vector<ChatMessage> messages) {
  FB_CHECK(messages.empty() || !is_of_user(messages.back()),
           "expected a conversation that ends with an answer, got one that ends with a message of the user");
  std::vector<ChatMessage> before = std::exchange(conversation_.messages, std::move(messages));
  try {
    used_ = int64_t(prompt().size());
  } catch (...) {
    conversation_.messages = std::move(before);
    throw;
  }
}

std::vector<int32_t> ChatSession::fit(ChatTurn& turn) {
  // An answer should have a quarter of the context, or what it may have at most.
  const int64_t context = options_.context_tokens, room = std::max<int64_t>(1, std::min(options_.max_tokens, context / 4));
  std::vector<int32_t> ids = prompt();
  if (int64_t(ids.size()) + room > context) {
    // Each turn is tokens of its own, so fewer turns are fewer tokens.
    const Conversation whole = conversation_;
    const auto drop = [&](int64_t turns) {
      conversation_.messages = without_oldest(whole.messages, turns);
      ids = prompt();
      return int64_t(ids.size()) + room <= context;
    };
    turn.dropped = fewest_that_fit(turns_of(whole.messages) - 1, [&](int64_t turns) { return turns > 0 && drop(turns); });
    drop(turn.dropped);
  }
  FB_CHECK(int64_t(ids.size()) < context, "the message takes {} tokens, the context has {}: it was not sent. Hint: a shorter one",
           ids.size(), context);
  return ids;
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
  if (memory_) memory_->remember(tokenizer_, answer.text, answer.ids);
  used_ = answer.usage.total_tokens();
  turn.context_full = answer.finish == FinishReason::kLength && used_ >= options_.context_tokens;
  return turn;
}

}  // namespace finback
