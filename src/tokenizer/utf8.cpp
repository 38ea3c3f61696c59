#include "tokenizer/utf8.h"

#include <cstring>

namespace finback {
namespace {

struct LeadByte {
  int length;                       // of the whole character; 0: not a lead byte
  uint8_t second_low, second_high;  // allowed range of the second byte (Unicode 15, table 3-7)
};

LeadByte lead_byte(uint8_t b) {
  if (b < 0x80) return {1, 0, 0};
  if (b < 0xC2) return {0, 0, 0};
  if (b < 0xE0) return {2, 0x80, 0xBF};
  if (b == 0xE0) return {3, 0xA0, 0xBF};
  if (b == 0xED) return {3, 0x80, 0x9F};
  if (b < 0xF0) return {3, 0x80, 0xBF};
  if (b == 0xF0) return {4, 0x90, 0xBF};
  if (b < 0xF4) return {4, 0x80, 0xBF};
  if (b == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

// Bytes at `p` that agree with one well-formed character, and that character's length (0: none starts here).
struct Prefix {
  int agreeing, wanted;
};
Prefix well_formed_prefix(const uint8_t* p, const uint8_t* end) {
  const LeadByte lead = lead_byte(*p);
  if (lead.length <= 1) return {lead.length, lead.length};
  if (end - p < 2 || p[1] < lead.second_low || p[1] > lead.second_high) return {1, lead.length};
  int agreeing = 2;
  while (agreeing < lead.length && p + agreeing < end && (p[agreeing] & 0xC0) == 0x80) ++agreeing;
  return {agreeing, lead.length};
}

}  // namespace

size_t utf8_valid_prefix(std::string_view text) {
  const auto* begin = reinterpret_cast<const uint8_t*>(text.data());
  const uint8_t* end = begin + text.size();
  const uint8_t* p = begin;
  while (p < end) {
    if (*p < 0x80) {
      uint64_t word;
      while (end - p >= 8 && (std::memcpy(&word, p, 8), (word & 0x8080808080808080u) == 0)) p += 8;
      while (p < end && *p < 0x80) ++p;
      continue;
    }
    const Prefix prefix = well_formed_prefix(p, end);
    if (prefix.wanted == 0 || prefix.agreeing < prefix.wanted) break;
    p += prefix.wanted;
  }
  return size_t(p - begin);
}

BrokenUtf8 utf8_broken_part(std::string_view text) {
  const auto* p = reinterpret_cast<const uint8_t*>(text.data());
  const Prefix prefix = well_formed_prefix(p, p + text.size());
  if (prefix.wanted == 0) return {1, false};
  return {size_t(prefix.agreeing), size_t(prefix.agreeing) == text.size()};
}

std::string utf8_lossy(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  while (true) {
    const size_t valid = utf8_valid_prefix(bytes);
    out.append(bytes.substr(0, valid));
    bytes.remove_prefix(valid);
    if (bytes.empty()) return out;
    out += "\xEF\xBF\xBD";
    bytes.remove_prefix(utf8_broken_part(bytes).length);
  }
}

void append_utf8(std::string& out, char32_t c) {
  if (c < 0x80) {
    out += char(c);
  } else if (c < 0x800) {
    out += char(0xC0 | c >> 6);
    out += char(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    out += char(0xE0 | c >> 12);
    out += char(0x80 | (c >> 6 & 0x3F));
    out += char(0x80 | (c & 0x3F));
  } else {
    out += char(0xF0 | c >> 18);
    out += char(0x80 | (c >> 12 & 0x3F));
    out += char(0x80 | (c >> 6 & 0x3F));
    out += char(0x80 | (c & 0x3F));
  }
}

}  // namespace finback
