// UTF-16 without a byte order mark, told by its characters where no zeros give it away: Chinese, Japanese, Korean, Cyrillic and other text without ASCII
// among it. Pure.
#pragma once
#include <bit>
#include <optional>
#include <string_view>

namespace finback {

// The byte order of what is text in this one and in nothing else; nothing for all others, and for too few bytes to be certain.
std::optional<std::endian> unmarked_utf16(std::string_view first_bytes);

}  // namespace finback
