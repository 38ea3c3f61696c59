#include "tokenizer/unicode_classes.h"

#include <utf8proc.h>

#include <algorithm>
#include <map>

namespace finback {
namespace {

struct ClassRange {
  char32_t first, last;
  uint8_t classes;
};

// Assigned by Unicode 15.1 and 16.0; utf8proc 2.8 knows 15.0.
constexpr ClassRange kAssignedSince15[] = {{0x897, 0x897, kMark},
                                           {0x1B4E, 0x1B4F, kPunctuation},
                                           {0x1B7F, 0x1B7F, kPunctuation},
                                           {0x1C89, 0x1C8A, kLetter},
                                           {0x2427, 0x2429, kSymbol},
                                           {0x2FFC, 0x2FFF, kSymbol},
                                           {0x31E4, 0x31E5, kSymbol},
                                           {0x31EF, 0x31EF, kSymbol},
                                           {0xA7CB, 0xA7CD, kLetter},
                                           {0xA7DA, 0xA7DC, kLetter},
                                           {0x105C0, 0x105F3, kLetter},
                                           {0x10D40, 0x10D49, kNumber},
                                           {0x10D4A, 0x10D65, kLetter},
                                           {0x10D69, 0x10D6D, kMark},
                                           {0x10D6E, 0x10D6E, kPunctuation},
                                           {0x10D6F, 0x10D85, kLetter},
                                           {0x10D8E, 0x10D8F, kSymbol},
                                           {0x10EC2, 0x10EC4, kLetter},
                                           {0x10EFC, 0x10EFC, kMark},
                                           {0x11380, 0x11389, kLetter},
                                           {0x1138B, 0x1138B, kLetter},
                                           {0x1138E, 0x1138E, kLetter},
                                           {0x11390, 0x113B5, kLetter},
                                           {0x113B7, 0x113B7, kLetter},
                                           {0x113B8, 0x113C0, kMark},
                                           {0x113C2, 0x113C2, kMark},
                                           {0x113C5, 0x113C5, kMark},
                                           {0x113C7, 0x113CA, kMark},
                                           {0x113CC, 0x113D0, kMark},
                                           {0x113D1, 0x113D1, kLetter},
                                           {0x113D2, 0x113D2, kMark},
                                           {0x113D3, 0x113D3, kLetter},
                                           {0x113D4, 0x113D5, kPunctuation},
                                           {0x113D7, 0x113D8, kPunctuation},
                                           {0x113E1, 0x113E2, kMark},
                                           {0x116D0, 0x116E3, kNumber},
                                           {0x11BC0, 0x11BE0, kLetter},
                                           {0x11BE1, 0x11BE1, kPunctuation},
                                           {0x11BF0, 0x11BF9, kNumber},
                                           {0x11F5A, 0x11F5A, kMark},
                                           {0x13460, 0x143FA, kLetter},
                                           {0x16100, 0x1611D, kLetter},
                                           {0x1611E, 0x1612F, kMark},
                                           {0x16130, 0x16139, kNumber},
                                           {0x16D40, 0x16D6C, kLetter},
                                           {0x16D6D, 0x16D6F, kPunctuation},
                                           {0x16D70, 0x16D79, kNumber},
                                           {0x18CFF, 0x18CFF, kLetter},
                                           {0x1CC00, 0x1CCEF, kSymbol},
                                           {0x1CCF0, 0x1CCF9, kNumber},
                                           {0x1CD00, 0x1CEB3, kSymbol},
                                           {0x1E5D0, 0x1E5ED, kLetter},
                                           {0x1E5EE, 0x1E5EF, kMark},
                                           {0x1E5F0, 0x1E5F0, kLetter},
                                           {0x1E5F1, 0x1E5FA, kNumber},
                                           {0x1E5FF, 0x1E5FF, kPunctuation},
                                           {0x1F8B2, 0x1F8BB, kSymbol},
                                           {0x1F8C0, 0x1F8C1, kSymbol},
                                           {0x1FA89, 0x1FA89, kSymbol},
                                           {0x1FA8F, 0x1FA8F, kSymbol},
                                           {0x1FABE, 0x1FABE, kSymbol},
                                           {0x1FAC6, 0x1FAC6, kSymbol},
                                           {0x1FADC, 0x1FADC, kSymbol},
                                           {0x1FADF, 0x1FADF, kSymbol},
                                           {0x1FAE9, 0x1FAE9, kSymbol},
                                           {0x1FBCB, 0x1FBEF, kSymbol},
                                           {0x2EBF0, 0x2EE5D, kLetter}};

constexpr ClassRange kWhiteSpace[] = {{0x9, 0xD, 0},       {0x20, 0x20, 0},     {0x85, 0x85, 0},     {0xA0, 0xA0, 0},
                                      {0x1680, 0x1680, 0}, {0x2000, 0x200A, 0}, {0x2028, 0x2029, 0}, {0x202F, 0x202F, 0},
                                      {0x205F, 0x205F, 0}, {0x3000, 0x3000, 0}};

uint8_t category_class(char32_t c) {
  switch (utf8proc_category(utf8proc_int32_t(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return kLetter;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return kMark;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return kNumber;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
      return kPunctuation;
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
      return kSymbol;
    default:
      return 0;
  }
}

std::vector<uint8_t> flat_classes(bool kana_and_han_apart) {
  std::vector<uint8_t> flat(0x110000);
  for (char32_t c = 0; c < flat.size(); ++c) flat[c] = category_class(c);
  for (const ClassRange& range : kAssignedSince15) {
    for (char32_t c = range.first; c <= range.last; ++c) flat[c] = range.classes;
  }
  for (const ClassRange& range : kWhiteSpace) {
    for (char32_t c = range.first; c <= range.last; ++c) flat[c] |= kSpace;
  }
  flat['\r'] |= kNewline;
  flat['\n'] |= kNewline;
  if (kana_and_han_apart) {
    for (char32_t c = 0x3040; c <= 0x30FF; ++c) flat[c] = kKanaOrHan;
    for (char32_t c = 0x4E00; c <= 0x9FA5; ++c) flat[c] = kKanaOrHan;
  }
  return flat;
}

}  // namespace

ClassTable build_class_table(bool kana_and_han_apart) {
  const std::vector<uint8_t> flat = flat_classes(kana_and_han_apart);
  ClassTable table;
  std::map<std::array<uint8_t, 256>, uint16_t> known;
  for (size_t page = 0; page < table.page_of_.size(); ++page) {
    std::array<uint8_t, 256> content;
    std::copy_n(flat.begin() + ptrdiff_t(page * 256), 256, content.begin());
    const auto [found, is_new] = known.emplace(content, uint16_t(table.pages_.size()));
    if (is_new) table.pages_.push_back(content);
    table.page_of_[page] = found->second;
  }
  std::copy_n(flat.begin(), 128, table.ascii_.begin());
  return table;
}

const ClassTable& class_table() {
  static const ClassTable table = build_class_table(false);
  return table;
}

const ClassTable& deepseek_class_table() {
  static const ClassTable table = build_class_table(true);
  return table;
}

bool is_word_character(char32_t c) {
  if (class_table()[c] & (kLetter | kMark)) return true;
  switch (utf8proc_category(utf8proc_int32_t(c))) {
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      break;
  }
  // Other_Alphabetic outside letters and marks (circled and squared Latin letters), and Join_Control.
  return (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) ||
         (c >= 0x1F170 && c <= 0x1F189) || c == 0x200C || c == 0x200D;
}

size_t previous_character(std::string_view text, size_t at) {
  do {
    --at;
  } while (at > 0 && (uint8_t(text[at]) & 0xC0) == 0x80);
  return at;
}

size_t white_space_begin(std::string_view text, size_t at) {
  while (at > 0) {
    const size_t before = previous_character(text, at);
    if (!is_white_space(decode_utf8(text, before).code_point)) break;
    at = before;
  }
  return at;
}

size_t white_space_end(std::string_view text, size_t at) {
  while (at < text.size()) {
    const Utf8Char c = decode_utf8(text, at);
    if (!is_white_space(c.code_point)) break;
    at += c.length;
  }
  return at;
}

}  // namespace finback
