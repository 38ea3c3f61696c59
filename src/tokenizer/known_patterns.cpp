#include "tokenizer/known_patterns.h"

#include "tokenizer/unicode_classes.h"

namespace finback {
namespace {

using Byte = uint8_t;

// A place in the text and the tests that all four patterns are made of.
class Scanner {
 public:
  Scanner(const ClassTable& table, std::string_view text, ByteRange range, std::vector<ByteRange>& pieces)
      : table_(table),
        ascii_(table.ascii().data()),
        base_(reinterpret_cast<const Byte*>(text.data())),
        end_(base_ + range.end),
        p_(base_ + range.begin),
        pieces_(pieces) {}

  void gpt2() {
    while (p_ < end_) {
      if (const int length = contraction(false)) {
        emit(p_ + length);
        continue;
      }
      const Byte* q = *p_ == ' ' && p_ + 1 < end_ ? p_ + 1 : p_;
      const Byte c = classes(q);
      if (c & kLetter) {
        emit(skip(q, kLetter));
      } else if (c & kNumber) {
        emit(skip(q, kNumber));
      } else if (!(c & kSpace)) {
        emit(skip_without(q, kSpace | kLetter | kNumber));
      } else {
        emit(end_of_spaces(skip(p_, kSpace)));
      }
    }
  }

  // Llama-3 and Qwen2 differ in how many digits make a piece.
  void llama3(int digits) {
    while (p_ < end_) {
      if (const int length = contraction(true)) {
        emit(p_ + length);
        continue;
      }
      const Byte c = classes(p_);
      const Byte* next = p_ + length_at(p_);
      const Byte following = next < end_ ? classes(next) : Byte(0);
      if (c & kLetter) {
        emit(skip(next, kLetter));
      } else if (!(c & (kNewline | kNumber)) && (following & kLetter)) {
        emit(skip(next, kLetter));
      } else if (c & kNumber) {
        emit(skip_at_most(p_, kNumber, digits));
      } else if (!(c & kSpace)) {
        emit(skip(skip_without(next, kSpace | kLetter | kNumber), kNewline));
      } else if (*p_ == ' ' && next < end_ && !(following & (kSpace | kLetter | kNumber))) {
        emit(skip(skip_without(next, kSpace | kLetter | kNumber), kNewline));
      } else {
        emit(end_of_lines_or_spaces(skip(p_, kSpace)));
      }
    }
  }

  // The three splits at once: numbers and kana/Han end the stretch that the third one sees.
  void deepseek() {
    const Byte* unmatched = p_;  // start of what no alternative has matched so far: a piece of its own once something matches
    while (p_ < end_) {
      const Byte c = classes(p_);
      const Byte* stop = deepseek_match(c);
      if (stop == p_) {
        p_ += length_at(p_);
        continue;
      }
      const Byte* start = p_;
      if (unmatched < start) push(unmatched, start);
      emit(stop);
      unmatched = p_;
    }
    if (unmatched < p_) push(unmatched, p_);
  }

 private:
  Byte classes(const Byte* p) const { return *p < 0x80 ? ascii_[*p] : table_[decode_utf8(p).code_point]; }
  static uint32_t length_at(const Byte* p) { return *p < 0x80 ? 1 : *p < 0xE0 ? 2 : *p < 0xF0 ? 3 : 4; }

  // Over all characters that have one of the classes.
  const Byte* skip(const Byte* p, Byte wanted) const {
    while (p < end_) {
      if (*p < 0x80) {
        if (!(ascii_[*p] & wanted)) break;
        ++p;
      } else {
        const Utf8Char c = decode_utf8(p);
        if (!(table_[c.code_point] & wanted)) break;
        p += c.length;
      }
    }
    return p;
  }

  // Over all characters that have none of the classes.
  const Byte* skip_without(const Byte* p, Byte unwanted) const {
    while (p < end_) {
      const Utf8Char c = decode_utf8(p);
      if (table_[c.code_point] & unwanted) break;
      p += c.length;
    }
    return p;
  }

  const Byte* skip_at_most(const Byte* p, Byte wanted, int count) const {
    for (; count > 0 && p < end_ && (classes(p) & wanted); --count) p += length_at(p);
    return p;
  }

  // \s+(?!\S)|\s+ on the blanks [p_, run_end): all but the last one when something else follows, unless there is only one.
  const Byte* end_of_spaces(const Byte* run_end) const {
    if (run_end == end_) return run_end;
    const Byte* last = run_end - 1;
    while ((*last & 0xC0) == 0x80) --last;
    return last > p_ ? last : run_end;
  }

  // \s*[\r\n]+|\s+(?!\S)|\s+ on the blanks [p_, run_end): up to and with the last line end, if there is one.
  const Byte* end_of_lines_or_spaces(const Byte* run_end) const {
    for (const Byte* q = run_end; q > p_; --q) {
      if (q[-1] == '\n' || q[-1] == '\r') return q;
    }
    return end_of_spaces(run_end);
  }

  // 's 't 're 've 'm 'll 'd; length in bytes, 0 if none. Folded, U+017F (long s) counts as an s.
  int contraction(bool fold_case) const {
    if (*p_ != '\'' || end_ - p_ < 2) return 0;
    const auto letter = [&](const Byte* p) { return fold_case && *p >= 'A' && *p <= 'Z' ? Byte(*p + 32) : *p; };
    const Byte first = letter(p_ + 1);
    if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
    if (end_ - p_ < 3) return 0;
    if (fold_case && p_[1] == 0xC5 && p_[2] == 0xBF) return 3;
    const Byte second = letter(p_ + 2);
    return (second == 'e' && (first == 'r' || first == 'v')) || (second == 'l' && first == 'l') ? 3 : 0;
  }

  // End of the match that starts at p_, whose class is c; p_ if no alternative matches there.
  const Byte* deepseek_match(Byte c) const {
    if (c & kNumber) return skip_at_most(p_, kNumber, 3);
    if (c & kKanaOrHan) return skip(p_, kKanaOrHan);
    if (c & (kLetter | kMark)) return skip(p_, kLetter | kMark);
    const Byte* next = p_ + length_at(p_);
    const Byte following = next < end_ ? classes(next) : Byte(0);
    if (c & (kPunctuation | kSymbol)) {
      if (*p_ < 0x80 && next < end_ && is_ascii_letter(*next)) return skip_ascii_letters(next);
      return skip(skip(next, kPunctuation | kSymbol), kNewline);
    }
    if (!(c & kNewline) && (following & (kLetter | kMark))) return skip(next, kLetter | kMark);
    if (*p_ == ' ' && (following & (kPunctuation | kSymbol))) return skip(skip(next, kPunctuation | kSymbol), kNewline);
    if (c & kSpace) return deepseek_blanks(skip(p_, kSpace));
    return p_;
  }

  // Like end_of_lines_or_spaces, but a number, kana or Han ends the stretch: blanks before one stay whole.
  const Byte* deepseek_blanks(const Byte* run_end) const {
    for (const Byte* q = run_end; q > p_; --q) {
      if (q[-1] == '\n' || q[-1] == '\r') return q;
    }
    if (run_end < end_ && (classes(run_end) & (kNumber | kKanaOrHan))) return run_end;
    return end_of_spaces(run_end);
  }

  static bool is_ascii_letter(Byte b) { return (b | 32) >= 'a' && (b | 32) <= 'z'; }
  const Byte* skip_ascii_letters(const Byte* p) const {
    while (p < end_ && is_ascii_letter(*p)) ++p;
    return p;
  }

  void push(const Byte* from, const Byte* to) { pieces_.push_back({uint32_t(from - base_), uint32_t(to - base_)}); }
  void emit(const Byte* to) {
    push(p_, to);
    p_ = to;
  }

  const ClassTable& table_;
  const Byte* ascii_;
  const Byte* base_;
  const Byte* end_;
  const Byte* p_;
  std::vector<ByteRange>& pieces_;
};

// Literal CR and LF as \r and \n.
std::string spelled_out(std::string_view regex) {
  std::string out;
  for (const char c : regex) out += c == '\r' ? "\\r" : c == '\n' ? "\\n" : std::string(1, c);
  return out;
}

}  // namespace

bool same_regex(std::string_view a, std::string_view b) { return spelled_out(a) == spelled_out(b); }

std::optional<KnownPattern> known_pattern(std::string_view regex) {
  if (same_regex(regex, kGpt2Regex)) return KnownPattern::kGpt2;
  if (same_regex(regex, kLlama3Regex)) return KnownPattern::kLlama3;
  if (same_regex(regex, kQwen2Regex)) return KnownPattern::kQwen2;
  return std::nullopt;
}

void split_known(KnownPattern pattern, std::string_view text, ByteRange range, std::vector<ByteRange>& pieces) {
  Scanner scanner(pattern == KnownPattern::kDeepSeek ? deepseek_class_table() : class_table(), text, range, pieces);
  switch (pattern) {
    case KnownPattern::kDeepSeek:
      return scanner.deepseek();
    case KnownPattern::kGpt2:
      return scanner.gpt2();
    case KnownPattern::kLlama3:
      return scanner.llama3(3);
    case KnownPattern::kQwen2:
      return scanner.llama3(1);
  }
}

size_t safe_cut(std::string_view text, size_t from) {
  const auto letter = [&](size_t at) { return (uint8_t(text[at]) | 32) >= 'a' && (uint8_t(text[at]) | 32) <= 'z'; };
  // Visible ASCII, or the first byte of a character from U+4000: no white space begins so.
  const auto visible = [&](size_t at) { return (text[at] > ' ' && text[at] < 0x7F) || uint8_t(text[at]) >= 0xE4; };
  // Visible ASCII, or a character of three bytes from U+3001.
  const auto visible_before = [&](size_t at) {
    const auto byte = [&](size_t back) { return at >= back ? uint8_t(text[at - back]) : uint8_t(0); };
    if (byte(1) < 0x80) return byte(1) > ' ' && byte(1) < 0x7F;
    const bool whole = byte(3) >= 0xE3 && byte(3) < 0xF0 && byte(2) < 0xC0 && byte(2) >= 0x80 && byte(1) < 0xC0;
    return whole && !(byte(3) == 0xE3 && byte(2) == 0x80 && byte(1) == 0x80);
  };
  for (size_t at = from > 0 ? from : 1; at + 1 < text.size(); ++at) {
    if (text[at] == ' ' && letter(at - 1) && letter(at + 1)) return at;
    if (text[at] == '\n' && visible(at + 1) && visible_before(at)) return at + 1;
  }
  return text.size();
}

}  // namespace finback
