// DeepSeek's chat formats: a conversation as token ids, ending in the prompt for the assistant's turn, and which of those ids the assistant
// wrote. For tokenizers with DeepSeek's chat tokens only. Pure functions, any thread.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "tokenizer/special_tokens.h"
#include "tokenizer/tokenizer.h"

namespace finback {

// kV3: DeepSeek-V3 of December 2024. kR1: the assistant's earlier turns without their reasoning, and its turn opened with "<think>\n".
enum class ChatFormat { kV3, kR1 };
ChatFormat parse_chat_format(const std::string& name);  // "v3" or "r1"; throws Error

struct ChatMessage {
  std::string role, content;  // role: system, user or assistant
};

// What follows the last closing tag of the reasoning; all of it without one.
std::string without_reasoning(const std::string& content);

// The text of a conversation, without the beginning-of-sentence token: all system messages first, two newlines between them, then the
// turns with nothing between. Throws Error for another role.
std::string format_chat(const std::vector<ChatMessage>& messages, ChatFormat format);

// Tokens [begin, end) of a list of ids.
struct TokenSpan {
  int64_t begin = 0, end = 0;
  bool operator==(const TokenSpan&) const = default;
};

struct EncodedChat {
  std::vector<int32_t> ids;
  std::vector<TokenSpan> assistant;  // of each assistant message, in order: its text and its end-of-sentence token, not its role marker
};
// bos once, then the ids of the conversation. What a system or user message says is text whatever it spells (Note [Control tokens] in
// added_tokens.h); the tags of the reasoning in an assistant's are tokens, as the model wrote them, and the rest is text. Behind the last
// span of a conversation that ends with the assistant there is only the prompt for another turn.
// Throws Error if the tokenizer lacks bos or a chat token, or does not cut every text at its chat tokens.
EncodedChat encode_chat(const Tokenizer& tokenizer, const std::vector<ChatMessage>& messages, ChatFormat format);

}  // namespace finback
