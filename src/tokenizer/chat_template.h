// The chat template that a model folder carries for programs that render one: which of our formats it is, if any. Recognised by what DeepSeek's templates
// have and others do not; no template is run. Reads small files, any thread.
#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "tokenizer/chat_format.h"

namespace finback {

struct ChatTemplate {
  std::string text;                  // empty: the folder has none
  std::optional<ChatFormat> format;  // the one of ours that it writes; none: another
  bool of_finback = false;           // the one that `finback tokenizer train` writes
};

// chat_template.jinja, else "chat_template" of tokenizer_config.json (a text, or a list with one named "default"). Throws Error for a broken file.
ChatTemplate read_chat_template(const std::filesystem::path& folder);
ChatTemplate recognise_chat_template(std::string text);

}  // namespace finback
