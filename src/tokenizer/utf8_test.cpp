#include "tokenizer/utf8.h"

#include <gtest/gtest.h>

#include "tokenizer/byte_symbols.h"
#include "tokenizer/unicode_classes.h"

namespace finback {
namespace {

TEST(Utf8, EncodesAndDecodesEveryCodePoint) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text;
    append_utf8(text, c);
    ASSERT_EQ(utf8_valid_prefix(text), text.size()) << std::hex << uint32_t(c);
    ASSERT_EQ(decode_utf8(text, 0).code_point, c);
    ASSERT_EQ(decode_utf8(text, 0).length, text.size());
  }
}

TEST(Utf8, ReplacesEachMaximalBrokenPartOnce) {
  const std::string replaced = "\xEF\xBF\xBD";
  EXPECT_EQ(utf8_lossy("a\xFF"), "a" + replaced);
  EXPECT_EQ(utf8_lossy("\xE4\xBD"), replaced);  // a beginning of three bytes
  EXPECT_EQ(utf8_lossy("\xF0\x9F\x99 x"), replaced + " x");
  EXPECT_EQ(utf8_lossy("\xED\xA0\x80"), replaced + replaced + replaced);  // a surrogate
  EXPECT_EQ(utf8_lossy("\xC0\xAF"), replaced + replaced);                 // an overlong form
  EXPECT_EQ(utf8_lossy("\xF4\x90\x80\x80"), replaced + replaced + replaced + replaced);
}

TEST(Utf8, TellsIncompleteFromWrong) {
  EXPECT_TRUE(utf8_broken_part("\xE4\xBD").incomplete);
  EXPECT_FALSE(utf8_broken_part("\xE4x").incomplete);
  EXPECT_FALSE(utf8_broken_part("\x80").incomplete);
}

TEST(ByteSymbols, AreAOneToOneMapping) {
  std::string bytes;
  for (int b = 0; b < 256; ++b) bytes += char(b);
  EXPECT_EQ(from_byte_symbols(to_byte_symbols(bytes)), bytes);
  EXPECT_EQ(to_byte_symbols(" \n"), "\u0120\u010A");
  EXPECT_EQ(bytes_in_symbol_order()[0], uint8_t('!'));
  EXPECT_EQ(bytes_in_symbol_order()[223 - 3], uint8_t(' '));  // DeepSeek-V3: the blank is id 223, the line end 201
  EXPECT_EQ(bytes_in_symbol_order()[201 - 3], uint8_t('\n'));
  EXPECT_FALSE(from_byte_symbols("a b").has_value());
}

TEST(UnicodeClasses, KnowsTheCategories) {
  EXPECT_EQ(class_table()[U'a'], kLetter);
  EXPECT_EQ(class_table()[U'\u0301'], kMark);
  EXPECT_EQ(class_table()[U'\u00B2'], kNumber);
  EXPECT_EQ(class_table()[U'\u3001'], kPunctuation);
  EXPECT_EQ(class_table()[U'+'], kSymbol);
  EXPECT_EQ(class_table()[U'\n'], kSpace | kNewline);
  EXPECT_EQ(class_table()[U'\u180E'], 0);
  EXPECT_EQ(class_table()[U'\U00016D40'], kLetter);  // Unicode 16
  EXPECT_EQ(deepseek_class_table()[U'\u30A2'], kKanaOrHan);
  EXPECT_EQ(deepseek_class_table()[U'\u9FA6'], kLetter);
  int spaces = 0;
  for (char32_t c = 0; c < 0x110000; ++c) spaces += is_white_space(c);
  EXPECT_EQ(spaces, 25);
}

}  // namespace
}  // namespace finback
