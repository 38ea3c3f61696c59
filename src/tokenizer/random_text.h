// Text that is likely to break a tokenizer, for tests: words, runs of blanks, marks, digits of many scripts, Han and kana, controls,
// unassigned code points. The same seed gives the same text. Not used by the program.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/utf8.h"

namespace finback {

class RandomText {
 public:
  explicit RandomText(uint64_t seed) : state_(seed) {}
  // A number below n.
  uint64_t below(uint64_t n) {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return (state_ >> 33) % n;
  }
  // About `characters` characters of valid UTF-8.
  std::string next(size_t characters) {
    using namespace std::string_view_literals;
    static const std::vector<std::u32string_view> kPools = {U"etaoin shrdlu ETAOIN"sv,
                                                            U" \t\n\r\u00A0\u0085\u2003\u3000\u2028"sv,
                                                            U"0123456789\u0665\u0967\u00B2\u216B\U0001D7D8"sv,
                                                            U"'.,;:!?-_()[]{}<>|/\\\"#$%&*+@^`~"sv,
                                                            U"\u20AC\u00A3+=\u2211\u2192\U0001F642"sv,
                                                            U"\u0300\u0301\u0323\u3099\u20DD\u094D"sv,
                                                            U"\u00E9\u00DF\u0130\u0436\u05D0\u0627\u0915\uAC00\u1100\u1161\u11A8"sv,
                                                            U"\u4E00\u4F60\u9FA5\u9FA6\u3042\u30A2\u3005\u30FC"sv,
                                                            U"\0\x01\x7F\u200B\u200D\u180E\uFEFF\uFFFD\uFFFF\uE000\U0010FFFF\u0378"sv,
                                                            U"'s't're've'm'll'd'S'LL\u017F"sv};
    std::string text;
    while (characters > 0) {
      const std::u32string_view pool = kPools[below(kPools.size())];
      for (uint64_t run = 1 + below(4); run > 0 && characters > 0; --run, --characters) append_utf8(text, pool[below(pool.size())]);
      if (below(12) == 0) append_utf8(text, any_character());
      if (below(40) == 0) text.append(below(60), "a \n'1-"[below(6)]);
    }
    return text;
  }

 private:
  char32_t any_character() {
    const char32_t c = char32_t(below(below(2) == 0 ? 0x3000 : 0x110000));
    return c >= 0xD800 && c < 0xE000 ? U'\uFFFD' : c;
  }
  uint64_t state_;
};

}  // namespace finback
