// UTF-8 at the level of bytes: validation, decoding of text known to be valid, and lossy repair. Knows nothing of Unicode properties.
// Pure functions, any thread.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace finback {

// Length in bytes of the longest prefix that is valid UTF-8 (no surrogates, no overlong forms, nothing above U+10FFFF).
size_t utf8_valid_prefix(std::string_view text);
// What stands at the start of `text`, which is not a whole valid character.
struct BrokenUtf8 {
  size_t length;    // bytes of the maximal broken part (Unicode 15, section 3.9, "U+FFFD substitution of maximal subparts"), 1 to 3
  bool incomplete;  // the part ends with the text and further bytes could complete it
};
// REQUIRES: text is not empty and utf8_valid_prefix(text) == 0.
BrokenUtf8 utf8_broken_part(std::string_view text);
// Each maximal broken part becomes one U+FFFD.
std::string utf8_lossy(std::string_view bytes);
void append_utf8(std::string& out, char32_t code_point);

struct Utf8Char {
  char32_t code_point;
  uint32_t length;  // bytes, 1 to 4
};

// The character that starts at `p`. REQUIRES: p is the first byte of a character of valid UTF-8.
inline Utf8Char decode_utf8(const uint8_t* p) {
  if (p[0] < 0x80) return {p[0], 1};
  if (p[0] < 0xE0) return {char32_t(p[0] & 0x1F) << 6 | (p[1] & 0x3F), 2};
  if (p[0] < 0xF0) return {char32_t(p[0] & 0x0F) << 12 | char32_t(p[1] & 0x3F) << 6 | (p[2] & 0x3F), 3};
  return {char32_t(p[0] & 0x07) << 18 | char32_t(p[1] & 0x3F) << 12 | char32_t(p[2] & 0x3F) << 6 | (p[3] & 0x3F), 4};
}
inline Utf8Char decode_utf8(std::string_view text, size_t at) { return decode_utf8(reinterpret_cast<const uint8_t*>(text.data()) + at); }

}  // namespace finback
