#include "tokenizer/special_tokens.h"

namespace finback {

std::span<const AddedToken> chat_tokens() {
  static const std::vector<AddedToken> tokens = [] {
    std::vector<AddedToken> list;
    for (const char* content :
         {"<think>", "</think>", "<｜fim▁hole｜>", "<｜fim▁begin｜>", "<｜fim▁end｜>", kUserToken, kAssistantToken, "<|EOT|>",
          "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>", "<｜tool▁outputs▁begin｜>",
          "<｜tool▁outputs▁end｜>", "<｜tool▁output▁begin｜>", "<｜tool▁output▁end｜>", "<｜tool▁sep｜>"}) {
      list.push_back({.content = content, .special = std::string_view(content) == "<|EOT|>"});
    }
    return list;
  }();
  return tokens;
}

AddedToken placeholder_token(int64_t number) {
  return {.content = "<｜place▁holder▁no▁" + std::to_string(number) + "｜>", .special = true};
}

}  // namespace finback
