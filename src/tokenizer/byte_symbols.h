// GPT-2's printable stand-ins for the 256 bytes: the alphabet in which byte-level vocabularies are written. Bytes 33-126, 161-172 and
// 174-255 stand for themselves; the other 68, in order, become U+0100, U+0101, ... Pure functions, any thread.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace finback {

// The code point that stands for each byte.
const std::array<char32_t, 256>& byte_symbols();
// The 256 bytes in GPT-2's order, which is also the order of their symbols' code points.
const std::array<uint8_t, 256>& bytes_in_symbol_order();
// Bytes as symbols, in UTF-8.
std::string to_byte_symbols(std::string_view bytes);
// The bytes that a string of symbols stands for; nothing if a character is not a symbol. REQUIRES: valid UTF-8.
std::optional<std::string> from_byte_symbols(std::string_view symbols);

}  // namespace finback
