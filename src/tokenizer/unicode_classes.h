// Which kind of character a code point is, as eight bits that the splitters test with one load. Built once from utf8proc's categories
// (Unicode 15.0) plus a list of what 15.1 and 16.0 assigned. Immutable after construction: any thread.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "tokenizer/utf8.h"

namespace finback {

// General categories by first letter, white space by the White_Space property (25 code points). kNewline: CR and LF alone.
inline constexpr uint8_t kLetter = 1, kMark = 2, kNumber = 4, kPunctuation = 8, kSymbol = 16, kSpace = 32, kNewline = 64;
// In the DeepSeek table only: U+3040-30FF and U+4E00-9FA5, which then carry no other bit.
inline constexpr uint8_t kKanaOrHan = 128;

class ClassTable {
 public:
  // Every class of a code point up to U+10FFFF.
  uint8_t operator[](char32_t c) const { return pages_[page_of_[c >> 8]][c & 0xFF]; }
  // Bytes below 0x80; zero for all others, so that an ASCII run ends there.
  const std::array<uint8_t, 256>& ascii() const { return ascii_; }

 private:
  friend ClassTable build_class_table(bool kana_and_han_apart);
  std::array<uint16_t, 0x1100> page_of_{};
  std::vector<std::array<uint8_t, 256>> pages_;  // equal pages are stored once
  std::array<uint8_t, 256> ascii_{};
};

const ClassTable& class_table();
// DeepSeek's splits treat kana and Han as neither letters nor marks nor punctuation: there they only have kKanaOrHan.
const ClassTable& deepseek_class_table();

// \w as the `regex` crate and Oniguruma define it: alphabetic, marks, decimal digits, connectors, joiners.
bool is_word_character(char32_t c);
inline bool is_white_space(char32_t c) { return class_table()[c] & kSpace; }
// Start of the run of white space that ends at byte `at`, and end of the one that starts there. REQUIRES: valid UTF-8, `at` on a boundary.
size_t white_space_begin(std::string_view text, size_t at);
size_t white_space_end(std::string_view text, size_t at);
// Byte offset of the character before `at`. REQUIRES: at > 0.
size_t previous_character(std::string_view text, size_t at);

}  // namespace finback
