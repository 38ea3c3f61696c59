#include "tokenizer/chat_format.h"

#include "base/error.h"
#include "tokenizer/special_tokens.h"

namespace finback {
namespace {

// A stretch of a conversation: a control token that the format sets, or text that stays text.
struct ChatPiece {
  std::string text;
  bool control = false;
  int64_t assistant = -1;  // the number of the assistant's message whose text or end of sentence it is; -1: of none
};

// An assistant's message: the tags of its reasoning are control tokens.
void add_assistant(const std::string& content, int64_t number, std::vector<ChatPiece>& pieces) {
  std::string_view rest = content;
  while (!rest.empty()) {
    const size_t open = rest.find(kThinkOpen), close = rest.find(kThinkClose), tag = std::min(open, close);
    if (tag > 0) pieces.push_back({std::string(rest.substr(0, tag)), false, number});
    if (tag == std::string_view::npos) break;
    pieces.push_back({open < close ? kThinkOpen : kThinkClose, true, number});
    rest.remove_prefix(tag + pieces.back().text.size());
  }
  pieces.push_back({kEosToken, true, number});
}

// The conversation in the order of its tokens.
std::vector<ChatPiece> chat_pieces(const std::vector<ChatMessage>& messages, ChatFormat format) {
  std::string system;
  std::vector<ChatPiece> turns;
  bool first_system = true;
  int64_t answers = 0;
  for (const ChatMessage& message : messages) {
    if (message.role == "system") {
      system += (first_system ? "" : "\n\n") + message.content;
      first_system = false;
    } else if (message.role == "user") {
      turns.push_back({kUserToken, true});
      turns.push_back({message.content});
    } else if (message.role == "assistant") {
      turns.push_back({kAssistantToken, true});
      add_assistant(format == ChatFormat::kR1 ? without_reasoning(message.content) : message.content, answers++, turns);
    } else {
      FB_FAIL("expected a chat role system, user or assistant, got \"{}\"", message.role);
    }
  }
  turns.push_back({kAssistantToken, true});
  if (format == ChatFormat::kR1) {
    turns.push_back({kThinkOpen, true});
    turns.push_back({"\n"});
  }
  turns.insert(turns.begin(), {system});
  return turns;
}

// Pieces end in control tokens, and a tokenizer cuts text at those, so the pieces' ids are those that other programs find in the whole text. A
// tokenizer.json may say otherwise (rstrip).
void check_whole(const Tokenizer& tokenizer, const std::vector<ChatPiece>& pieces, const std::vector<int32_t>& ids) {
  std::string whole;
  for (const ChatPiece& piece : pieces) {
    if (!piece.control && !tokenizer.spelled_control_token(piece.text).empty()) return;  // other programs take it for a token
    whole += piece.text;
  }
  FB_CHECK(ids == tokenizer.encode(whole, {.control_tokens = true}),
           "expected a tokenizer that cuts text at its chat tokens, got one that encodes a conversation otherwise than its messages");
}

}  // namespace

ChatFormat parse_chat_format(const std::string& name) {
  if (name == "v3") return ChatFormat::kV3;
  if (name == "r1") return ChatFormat::kR1;
  FB_FAIL("expected chat format v3 or r1, got \"{}\"", name);
}

std::string without_reasoning(const std::string& content) {
  const size_t at = content.rfind(kThinkClose);
  return at == std::string::npos ? content : content.substr(at + std::string_view(kThinkClose).size());
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
  const std::vector<ChatPiece> pieces = chat_pieces(messages, format);
  std::string text;  // that is not encoded yet: a control token which the tokenizer lacks is text, too
  const auto flush = [&] {
    const std::vector<int32_t> ids = tokenizer.encode(text);
    chat.ids.insert(chat.ids.end(), ids.begin(), ids.end());
    text.clear();
  };
  chat.ids.push_back(*tokenizer.bos_id());
  for (const ChatPiece& piece : pieces) {
    const auto id = piece.control ? tokenizer.token_id(piece.text) : std::nullopt;
    if (id) flush();
    if (piece.assistant == int64_t(chat.assistant.size())) chat.assistant.push_back({int64_t(chat.ids.size()), 0});
    if (id) {
      chat.ids.push_back(*id);
    } else {
      text += piece.text;
    }
    if (piece.assistant >= 0) chat.assistant.back().end = int64_t(chat.ids.size());  // right at last: a message ends in a token
  }
  flush();
  check_whole(tokenizer, pieces, {chat.ids.begin() + 1, chat.ids.end()});
  return chat;
}

}  // namespace finback
