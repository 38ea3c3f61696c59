#include "tokenizer/special_tokens.h"

namespace finback {

std::span<const AddedToken> chat_tokens() {
  static const std::vector<AddedToken> tokens = [] {
    std::vector<AddedToken> list;
    for (const char* content :
         {kThinkOpen, kThinkClose, "<｜fim▁hole｜>", "<｜fim▁begin｜>", "<｜fim▁end｜>", kUserToken, kAssistantToken, "<|EOT|>",
          "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>", "<｜tool▁outputs▁begin｜>",
          "<｜tool▁outputs▁end｜>", "<｜tool▁output▁begin｜>", "<｜tool▁output▁end｜>", "<｜tool▁sep｜>"}) {
      list.push_back({.content = content, .special = std::string_view(content) == "<|EOT|>"});
    }
    return list;
  }();
  return tokens;
}

bool is_marker(std::string_view content) {
  const auto between = [&](std::string_view open, std::string_view close) {
    return content.size() > open.size() + close.size() && content.starts_with(open) && content.ends_with(close);
  };
  return between("<｜", "｜>") || between("<|", "|>") || content == kThinkOpen || content == kThinkClose;
}

AddedToken placeholder_token(int64_t number) {
  return {.content = "<｜place▁holder▁no▁" + std::to_string(number) + "｜>", .special = true};
}

}  // namespace finback
