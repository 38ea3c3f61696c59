// DeepSeek's chat formats: a conversation as token ids, ending in the prompt for the assistant's turn. For tokenizers with DeepSeek's chat
// tokens only. Pure functions, any thread.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace finback {

// kV3: DeepSeek-V3 of December 2024. kR1: the assistant's earlier turns without their reasoning, and its turn opened with "<think>\n".
enum class ChatFormat { kV3, kR1 };
ChatFormat parse_chat_format(const std::string& name);  // "v3" or "r1"; throws Error

struct ChatMessage {
  std::string role, content;  // role: system, user or assistant
};

// The text of a conversation, without the beginning-of-sentence token: all system messages first, two newlines between them, then the
// turns with nothing between. Throws Error for another role.
std::string format_chat(const std::vector<ChatMessage>& messages, ChatFormat format);
// bos once, then the text's ids. Markers within a message's content are read as markers, as the published templates do.
// Throws Error if the tokenizer lacks bos or a chat token.
std::vector<int32_t> encode_chat(const Tokenizer& tokenizer, const std::vector<ChatMessage>& messages, ChatFormat format);

}  // namespace finback
