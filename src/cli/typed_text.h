// Text that a user typed: a flag's value, standard input, a line of a chat.
#pragma once
#include <string>

namespace finback {

// Valid UTF-8: bytes that are none become U+FFFD, and stderr says so once. where: "--prompt", "standard input".
std::string typed_text(std::string text, const std::string& where);

}  // namespace finback
