// Text to prompt ids: a text to continue, or a conversation that grows turn by turn. Knows no engine.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/chat_format.h"

namespace finback {

// A text to continue, with what the tokenizer puts around a prompt. An empty one starts a new document, as the training data did.
// control_tokens: read those that the text spells as tokens; else they stay text.
std::vector<int32_t> text_prompt(const Tokenizer& tokenizer, std::string_view text, bool control_tokens = false);

// The messages of one session and how they are written. A server that gets all messages with each request fills it anew.
struct Conversation {
  ChatFormat format = ChatFormat::kV3;
  std::vector<ChatMessage> messages = {};
  void add(const std::string& role, const std::string& content) { messages.push_back({role, content}); }
  // Ids of all messages and of the opening of the assistant's next turn. Throws Error for an unknown role and a tokenizer without chat tokens.
  std::vector<int32_t> prompt(const Tokenizer& tokenizer) const { return encode_chat(tokenizer, messages, format).ids; }
  // Whether that opening is inside <think>.
  bool opens_reasoning() const { return format == ChatFormat::kR1; }
};

}  // namespace finback
