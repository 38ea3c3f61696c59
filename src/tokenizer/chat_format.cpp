#include "tokenizer/chat_format.h"

#include "base/error.h"
#include "tokenizer/special_tokens.h"

namespace finback {
namespace {

// What follows the last closing tag of the reasoning.
std::string without_reasoning(const std::string& content) {
  const size_t at = content.rfind(kThinkClose);
  return at == std::string::npos ? content : content.substr(at + std::string_view(kThinkClose).size());
}

// The conversation's text in the order of its tokens, cut where the assistant's messages begin and end.
struct ChatPiece {
  std::string text;
  bool assistant = false;  // its text and end-of-sentence token, without the marker in front
};

std::vector<ChatPiece> chat_pieces(const std::vector<ChatMessage>& messages, ChatFormat format) {
  std::string system;
  std::vector<ChatPiece> turns(1);
  bool first_system = true;
  for (const ChatMessage& message : messages) {
    if (message.role == "system") {
      system += (first_system ? "" : "\n\n") + message.content;
      first_system = false;
    } else if (message.role == "user") {
      turns.back().text += kUserToken + message.content;
    } else if (message.role == "assistant") {
      turns.back().text += kAssistantToken;
      turns.push_back({(format == ChatFormat::kR1 ? without_reasoning(message.content) : message.content) + kEosToken, true});
      turns.emplace_back();
    } else {
      FB_FAIL("expected a chat role system, user or assistant, got \"{}\"", message.role);
    }
  }
  turns.back().text += kAssistantToken;
  if (format == ChatFormat::kR1) turns.back().text += std::string(kThinkOpen) + "\n";
  turns.front().text = system + turns.front().text;
  return turns;
}

}  // namespace

ChatFormat parse_chat_format(const std::string& name) {
  if (name == "v3") return ChatFormat::kV3;
  if (name == "r1") return ChatFormat::kR1;
  FB_FAIL("expected chat format v3 or r1, got \"{}\"", name);
}

std::string format_chat(const std::vector<ChatMessage>& messages, ChatFormat format) {
  std::string text;
  for (const ChatPiece& piece : chat_pieces(messages, format)) text += piece.text;
  return text;
}

EncodedChat encode_chat(const Tokenizer& tokenizer, const std::vector<ChatMessage>& messages, ChatFormat format) {
  FB_CHECK(tokenizer.bos_id().has_value(), "expected a tokenizer with a beginning-of-sentence token for chat, got none");
  for (const char* token : {kUserToken, kAssistantToken, kEosToken}) {
    FB_CHECK(tokenizer.token_id(token).has_value(), "expected a tokenizer with DeepSeek's chat token {}, got one without it", token);
  }
  EncodedChat chat;
  for (const ChatPiece& piece : chat_pieces(messages, format)) {
    const std::vector<int32_t> ids = tokenizer.encode(piece.text);
    const int64_t begin = int64_t(chat.ids.size()) + 1;  // behind bos
    chat.ids.insert(chat.ids.end(), ids.begin(), ids.end());
    if (piece.assistant) chat.assistant.push_back({begin, begin + int64_t(ids.size())});
  }
  // Pieces end in chat tokens, and text is cut at those, so the pieces' ids are the text's. A tokenizer.json may say otherwise (rstrip).
  FB_CHECK(chat.ids == tokenizer.encode(format_chat(messages, format)),
           "expected a tokenizer that cuts text at its chat tokens, got one that encodes a conversation otherwise than its messages");
  chat.ids.insert(chat.ids.begin(), *tokenizer.bos_id());
  return chat;
}

}  // namespace finback
