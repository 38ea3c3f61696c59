#include "data/text_encoding.h"

#include <algorithm>
#include <cstddef>

#include "base/error.h"
#include "data/unmarked_utf16.h"
#include "tokenizer/utf8.h"

namespace finback {
namespace {

using namespace std::string_view_literals;

// 0x80 to 0x9F; 0: not assigned, read as U+FFFD.
constexpr char32_t kWindows1252[32] = {0x20AC, 0,      0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
                                       0x2039, 0x0152, 0,      0x017D, 0,      0,      0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
                                       0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0,      0x017E, 0x0178};

bool ascii_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
// Letters of Windows-1252 above ASCII; 0xFF is one in name only, and what binary files are full of.
bool high_letter(uint8_t c) {
  return (c >= 0xC0 && c != 0xD7 && c != 0xF7 && c != 0xFF) || c == 0x8A || c == 0x8C || c == 0x8E || c == 0x9A || c == 0x9C || c == 0x9E;
}
bool high_sign(uint8_t c) { return (c >= 0xA0 && c <= 0xBF) || (c >= 0x80 && c < 0xA0 && kWindows1252[c - 0x80] != 0 && !high_letter(c)); }

bool is_control(char c) {
  const uint8_t b = uint8_t(c);
  return (b < 0x20 && "\t\n\r\f\v\b\x1b"sv.find(c) == std::string_view::npos) || b == 0x7F;
}

// Text in UTF-16 without a mark: the high bytes of ASCII, blanks and newlines among it, are zeros on one side and seldom on the other.
bool zeros_on_one_side(size_t zeros, size_t other, size_t units) { return units >= 4 && zeros * 10 >= units && other * 4 <= zeros; }

struct Utf8Census {
  size_t ascii = 0, longer = 0, broken = 0;
};
Utf8Census census_of(std::string_view bytes) {
  Utf8Census census;
  while (!bytes.empty()) {
    const size_t valid = utf8_valid_prefix(bytes);
    for (const char c : bytes.substr(0, valid)) {
      census.ascii += uint8_t(c) < 0x80;
      census.longer += uint8_t(c) >= 0xC0;
    }
    bytes.remove_prefix(valid);
    if (bytes.empty()) break;
    const BrokenUtf8 part = utf8_broken_part(bytes);
    census.broken += !part.incomplete;
    bytes.remove_prefix(part.length);
  }
  return census;
}

// Text of bytes with zeros between its parts, as of find -print0, which may all fall on one side: without them it is UTF-8. Of UTF-16 the bytes that are
// no zeros are that only where it is ASCII, and there at least every second one is a zero.
bool is_text_apart_by_zeros(std::string_view bytes, size_t zeros) {
  if (zeros == 0 || zeros * 2 * 2 >= bytes.size()) return false;
  std::string text(bytes);
  std::erase(text, '\0');
  return census_of(text).broken == 0 && std::none_of(text.begin(), text.end(), is_control);
}

}  // namespace

const char* encoding_name(TextEncoding encoding) {
  static const char* const names[] = {"UTF-8", "UTF-16LE", "UTF-16BE", "UTF-32LE", "UTF-32BE", "Windows-1252"};
  return names[int(encoding)];
}

TextEncoding encoding_of_name(const std::string& name) {
  const std::pair<const char*, TextEncoding> known[] = {
      {"utf-8", TextEncoding::kUtf8},         {"utf-16le", TextEncoding::kUtf16Le}, {"utf-16be", TextEncoding::kUtf16Be},
      {"utf-32le", TextEncoding::kUtf32Le},   {"utf-32be", TextEncoding::kUtf32Be}, {"windows-1252", TextEncoding::kWindows1252},
      {"latin-1", TextEncoding::kWindows1252}};
  for (const auto& [word, encoding] : known) {
    if (name == word) return encoding;
  }
  FB_FAIL(
      "encoding: expected auto, utf-8, utf-16le, utf-16be, utf-32le, utf-32be, windows-1252 or latin-1, got \"{}\". Hint: convert other "
      "encodings: iconv -f ENCODING -t UTF-8",
      name);
}

TextEncoding recognise_encoding(std::string_view bytes) {
  if (bytes.starts_with("\xff\xfe\0\0"sv)) return TextEncoding::kUtf32Le;
  if (bytes.starts_with("\0\0\xfe\xff"sv)) return TextEncoding::kUtf32Be;
  if (bytes.starts_with("\xff\xfe")) return TextEncoding::kUtf16Le;
  if (bytes.starts_with("\xfe\xff")) return TextEncoding::kUtf16Be;
  size_t zeros[2] = {0, 0};
  for (size_t i = 0; i < bytes.size(); ++i) zeros[i % 2] += bytes[i] == '\0';
  if (is_text_apart_by_zeros(bytes, std::max(zeros[0], zeros[1]))) return TextEncoding::kUtf8;
  if (zeros_on_one_side(zeros[1], zeros[0], bytes.size() / 2)) return TextEncoding::kUtf16Le;
  if (zeros_on_one_side(zeros[0], zeros[1], bytes.size() / 2)) return TextEncoding::kUtf16Be;
  const std::optional<std::endian> order = unmarked_utf16(bytes);
  if (!order) return TextEncoding::kUtf8;
  return *order == std::endian::little ? TextEncoding::kUtf16Le : TextEncoding::kUtf16Be;
}

bool reads_as_windows_1252(std::string_view bytes) {
  const Utf8Census census = census_of(bytes);
  if (census.longer > 0 || census.broken == 0) return false;
  size_t letters = 0, high_letters = 0, high = 0, plausible = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const uint8_t c = uint8_t(bytes[i]);
    letters += ascii_letter(bytes[i]);
    if (c < 0x80) continue;
    ++high;
    high_letters += high_letter(c);
    // As in French or Norwegian, a letter may be a word of its own. What follows other letters above ASCII is another alphabet.
    const char before = i > 0 ? bytes[i - 1] : ' ', after = i + 1 < bytes.size() ? bytes[i + 1] : ' ';
    const bool beside = ascii_letter(before) || ascii_letter(after), alone = uint8_t(before) < 0x80 && uint8_t(after) < 0x80;
    plausible += high_sign(c) || (high_letter(c) && (beside || alone));
  }
  return plausible * 10 >= high * 9 && high_letters * 3 <= letters && high * 3 <= bytes.size();
}

std::string not_like_text(std::string_view bytes) {
  // A few stray bytes are repaired; in a short text they are many sooner.
  const size_t controls = size_t(std::count_if(bytes.begin(), bytes.end(), is_control));
  if ((controls >= 4 && controls * 50 > bytes.size()) || (controls >= 2 && controls * 8 > bytes.size()))
    return "control bytes, as in binary files or UTF-16";
  if (reads_as_windows_1252(bytes)) return "";
  const Utf8Census census = census_of(bytes);
  const size_t pieces = census.ascii + census.longer + census.broken;
  if (census.broken < 2 || census.broken * 5 < pieces) return "";
  return "an encoding that is not recognised (too many bytes are no UTF-8)";
}

void WideDecoder::unit(uint32_t value, std::string& out, std::vector<size_t>& repaired) {
  const auto replace = [&] {
    repaired.push_back(out.size());
    append_utf8(out, 0xFFFD);
  };
  const bool low_half = value >= 0xDC00 && value < 0xE000;
  if (high_half_ != 0) {
    const uint32_t high = high_half_;
    high_half_ = 0;
    if (low_half) return append_utf8(out, 0x10000 + ((high - 0xD800) << 10) + (value - 0xDC00));
    replace();
  }
  const bool wide = encoding_ == TextEncoding::kUtf16Le || encoding_ == TextEncoding::kUtf16Be;
  if (wide && value >= 0xD800 && value < 0xDC00) {
    high_half_ = value;
  } else if ((value >= 0xD800 && value < 0xE000) || value > 0x10FFFF) {
    replace();
  } else {
    append_utf8(out, value);
  }
}

void WideDecoder::decode(std::string_view bytes, bool last, std::string& out, std::vector<size_t>& repaired) {
  carry_.append(bytes);
  const bool four = encoding_ == TextEncoding::kUtf32Le || encoding_ == TextEncoding::kUtf32Be;
  const bool little = encoding_ == TextEncoding::kUtf16Le || encoding_ == TextEncoding::kUtf32Le;
  const size_t width = four ? 4 : 2, whole = carry_.size() / width * width;
  for (size_t at = 0; at < whole; at += width) {
    uint32_t value = 0;
    for (size_t i = 0; i < width; ++i) value = value << 8 | uint8_t(carry_[at + (little ? width - 1 - i : i)]);
    unit(value, out, repaired);
  }
  carry_.erase(0, whole);
  if (!last || (carry_.empty() && high_half_ == 0)) return;
  carry_.clear();
  high_half_ = 0;
  repaired.push_back(out.size());
  append_utf8(out, 0xFFFD);
}

void append_windows_1252(std::string& out, std::string_view bytes) {
  for (const char c : bytes) {
    const uint8_t b = uint8_t(c);
    const char32_t mapped = b >= 0x80 && b < 0xA0 ? kWindows1252[b - 0x80] : b;
    append_utf8(out, b >= 0x80 && mapped == 0 ? 0xFFFD : mapped);
  }
}

}  // namespace finback
