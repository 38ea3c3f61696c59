#include "data/unmarked_utf16.h"

#include <algorithm>
#include <bitset>
#include <map>

#include "tokenizer/unicode_classes.h"

namespace finback {
namespace {

// Note [Certain UTF-16]
// Only bytes that could be no text of bytes are looked at: control bytes are at least one in fifty. UTF-16 has them where the lower half of a character is
// below 0x20 (one in nine of Chinese or Korean) or the upper half is (Cyrillic, Arabic, Thai); UTF-8, Windows code pages, GBK, Big5, Shift-JIS and EUC
// have none. Then one of the two byte orders must give assigned characters alone, most of them letters of one script, and the other must not, or be
// much less of a text: so files alone are touched that would be refused as binary.
constexpr size_t kLeastUnits = 8;

bool is_control_byte(char c) {
  const uint8_t b = uint8_t(c);
  return (b < 0x20 && b != '\t' && b != '\n' && b != '\r' && b != '\f') || b == 0x7F;
}

// Letters that stand together in a text have one number: East Asian ones without Korean, Korean ones, else a page of 256 characters, which holds one
// alphabet or two neighbours.
int script_of(char32_t c) {
  constexpr int kEastAsian = -1, kKorean = -2;
  if ((c >= 0xAC00 && c <= 0xD7A3) || (c >= 0x1100 && c <= 0x11FF) || (c >= 0x3130 && c <= 0x318F)) return kKorean;
  if ((c >= 0x2E80 && c <= 0x9FFF) || (c >= 0xF900 && c <= 0xFAFF) || (c >= 0xFF00 && c <= 0xFFEF) || c >= 0x20000) return kEastAsian;
  return int(c >> 8);
}

// Joiners, direction marks and soft hyphens, which Persian, Indic and Hebrew text has between its letters.
bool is_invisible(char32_t c) { return c == 0xAD || (c >= 0x200B && c <= 0x200F) || (c >= 0x202A && c <= 0x202E) || c == 0xFEFF; }

class ScriptCensus {
 public:
  void add(char32_t c) {
    const uint8_t kind = c <= 0x10FFFF ? class_table()[c] : 0;
    ++characters_;
    if (kind & (kLetter | kMark)) {
      ++letters_[script_of(c)];
    } else if (kind == 0 && !is_invisible(c)) {
      ++strange_;  // not assigned, private, control
    }
  }
  bool is_text() const {
    size_t letters = 0, most = 0;
    for (const auto& [script, count] : letters_) {
      letters += count;
      most = std::max(most, count);
    }
    return strange_ * 100 <= characters_ && letters * 2 >= characters_ && most * 5 >= letters * 4;
  }

 private:
  std::map<int, size_t> letters_;
  size_t characters_ = 0, strange_ = 0;
};

bool is_text_of(std::string_view bytes, bool little) {
  const auto unit = [&](size_t i) {
    const uint8_t first = uint8_t(bytes[2 * i]), second = uint8_t(bytes[2 * i + 1]);
    return char32_t(little ? first | second << 8 : first << 8 | second);
  };
  const size_t units = bytes.size() / 2;
  ScriptCensus census;
  for (size_t i = 0; i < units; ++i) {
    const char32_t high = unit(i), low = i + 1 < units ? unit(i + 1) : 0;
    const bool pair = high >= 0xD800 && high < 0xDC00 && low >= 0xDC00 && low < 0xE000;
    const bool cut_off = high >= 0xD800 && high < 0xDC00 && i + 1 == units;
    if (!cut_off) census.add(pair ? 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00) : high);
    i += pair;
  }
  return census.is_text();
}

// Values of the bytes at even or odd places.
size_t distinct_bytes(std::string_view bytes, size_t first) {
  std::bitset<256> seen;
  for (size_t i = first; i < bytes.size(); i += 2) seen.set(uint8_t(bytes[i]));
  return seen.count();
}

}  // namespace

std::optional<std::endian> unmarked_utf16(std::string_view bytes) {
  if (bytes.size() / 2 < kLeastUnits) return std::nullopt;
  if (size_t(std::count_if(bytes.begin(), bytes.end(), is_control_byte)) * 50 < bytes.size()) return std::nullopt;
  bool little = is_text_of(bytes, true), big = is_text_of(bytes, false);
  if (little && big) {  // kana and Cyrillic turned round are rare Chinese; but their upper halves are few
    const size_t even = distinct_bytes(bytes, 0), odd = distinct_bytes(bytes, 1);
    little = odd * 3 <= even * 2, big = even * 3 <= odd * 2;
  }
  if (little == big) return std::nullopt;
  return little ? std::endian::little : std::endian::big;
}

}  // namespace finback
