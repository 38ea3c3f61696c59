// UTF-16 without a byte order mark, told by its characters where no zeros give it away: Chinese, Japanese, Korean, Cyrillic and other text without ASCII
// among it. Pure.
#pragma once
#include <optional>
#include <string_view>

#include "data/text_encoding.h"

namespace finback {

// kUtf16Le or kUtf16Be for bytes that are text in this one and in nothing else; nothing for all others, and for too few bytes to be certain.
std::optional<TextEncoding> unmarked_utf16(std::string_view first_bytes);

}  // namespace finback
