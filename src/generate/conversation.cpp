#include "generate/conversation.h"

#include <optional>

namespace finback {

std::vector<int32_t> text_prompt(const Tokenizer& tokenizer, std::string_view text, bool control_tokens) {
  std::vector<int32_t> ids = tokenizer.encode(text, {.add_special = true, .control_tokens = control_tokens});
  const std::optional<int32_t> first = tokenizer.bos_id() ? tokenizer.bos_id() : tokenizer.eos_id();
  if (ids.empty() && first) ids.push_back(*first);
  return ids;
}

}  // namespace finback
