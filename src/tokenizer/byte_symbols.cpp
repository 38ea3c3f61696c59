#include "tokenizer/byte_symbols.h"

#include "tokenizer/utf8.h"

namespace finback {
namespace {

struct Tables {
  std::array<char32_t, 256> symbols;
  std::array<uint8_t, 256> order;
  std::array<int16_t, 0x144> byte_of;  // by code point; -1: no symbol
};

const Tables& tables() {
  static const Tables built = [] {
    Tables t;
    t.byte_of.fill(-1);
    const auto stands_for_itself = [](int b) { return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174; };
    char32_t next = 0x100;
    for (int b = 0; b < 256; ++b) {
      t.symbols[size_t(b)] = stands_for_itself(b) ? char32_t(b) : next++;
      t.byte_of[t.symbols[size_t(b)]] = int16_t(b);
    }
    size_t count = 0;
    for (const int16_t b : t.byte_of) {
      if (b >= 0) t.order[count++] = uint8_t(b);
    }
    return t;
  }();
  return built;
}

}  // namespace

const std::array<char32_t, 256>& byte_symbols() { return tables().symbols; }

const std::array<uint8_t, 256>& bytes_in_symbol_order() { return tables().order; }

std::string to_byte_symbols(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char c : bytes) append_utf8(out, tables().symbols[uint8_t(c)]);
  return out;
}

std::optional<std::string> from_byte_symbols(std::string_view symbols) {
  std::string out;
  out.reserve(symbols.size());
  for (size_t at = 0; at < symbols.size();) {
    const Utf8Char c = decode_utf8(symbols, at);
    if (c.code_point >= tables().byte_of.size() || tables().byte_of[c.code_point] < 0) return std::nullopt;
    out += char(tables().byte_of[c.code_point]);
    at += c.length;
  }
  return out;
}

}  // namespace finback
