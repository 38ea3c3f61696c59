#include "tokenizer/chat_format.h"

#include "base/error.h"
#include "tokenizer/special_tokens.h"

namespace finback {
namespace {

// What follows the last closing tag of the reasoning.
std::string without_reasoning(const std::string& content) {
  constexpr std::string_view kClose = "</think>";
  const size_t at = content.rfind(kClose);
  return at == std::string::npos ? content : content.substr(at + kClose.size());
}

}  // namespace

ChatFormat parse_chat_format(const std::string& name) {
  if (name == "v3") return ChatFormat::kV3;
  if (name == "r1") return ChatFormat::kR1;
  FB_FAIL("expected chat format v3 or r1, got \"{}\"", name);
}

std::string format_chat(const std::vector<ChatMessage>& messages, ChatFormat format) {
  std::string system, turns;
  bool first_system = true;
  for (const ChatMessage& message : messages) {
    if (message.role == "system") {
      system += (first_system ? "" : "\n\n") + message.content;
      first_system = false;
    } else if (message.role == "user") {
      turns += kUserToken + message.content;
    } else if (message.role == "assistant") {
      turns += kAssistantToken + (format == ChatFormat::kR1 ? without_reasoning(message.content) : message.content) + kEosToken;
    } else {
      FB_FAIL("expected a chat role system, user or assistant, got \"{}\"", message.role);
    }
  }
  return system + turns + kAssistantToken + (format == ChatFormat::kR1 ? "<think>\n" : "");
}

std::vector<int32_t> encode_chat(const Tokenizer& tokenizer, const std::vector<ChatMessage>& messages, ChatFormat format) {
  FB_CHECK(tokenizer.bos_id().has_value(), "expected a tokenizer with a beginning-of-sentence token for chat, got none");
  for (const char* token : {kUserToken, kAssistantToken, kEosToken}) {
    FB_CHECK(tokenizer.token_id(token).has_value(), "expected a tokenizer with DeepSeek's chat token {}, got one without it", token);
  }
  std::vector<int32_t> ids = tokenizer.encode(format_chat(messages, format));
  ids.insert(ids.begin(), *tokenizer.bos_id());
  return ids;
}

}  // namespace finback
