// One compiled pre-tokenizer pattern. tokenizer.json patterns are written for Oniguruma (Ruby syntax); they are translated to PCRE2 and run
// on its JIT. A construct whose meaning would differ is refused by name, so a pattern that loads means the same. See Note [Two syntaxes].
// Immutable after construction; find_all may run on any number of threads.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace finback {

// Half-open byte range of a text.
struct ByteRange {
  uint32_t begin, end;
  bool operator==(const ByteRange&) const = default;
};

// The PCRE2 form of an Oniguruma pattern. Throws Error naming what is not supported. `where` starts the message.
std::string translate_pattern(std::string_view pattern, const std::string& where);

class SplitRegex {
 public:
  SplitRegex(std::string_view pattern, const std::string& where);
  ~SplitRegex();
  SplitRegex(SplitRegex&&) noexcept;
  SplitRegex& operator=(SplitRegex&&) noexcept;
  // Appends all non-overlapping matches, leftmost first; the text outside is not seen by look-around. Throws Error if the pattern
  // exhausts its match limit: it never returns fewer matches instead. REQUIRES: valid UTF-8 below 4 GiB.
  void find_all(std::string_view text, std::vector<ByteRange>& matches) const;

 private:
  struct Code;
  std::unique_ptr<Code> code_;
  std::string where_;
};

}  // namespace finback
