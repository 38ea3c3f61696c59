#include "base/error.h"
#include "tokenizer/split_regex.h"
#include "tokenizer/utf8.h"

// Note [Two syntaxes]
// Where Oniguruma's Ruby syntax and PCRE2 read the same characters differently:
//   \s     Oniguruma: the 25 White_Space code points; PCRE2 adds U+180E             -> spelled out
//   \w     Oniguruma: alphabetic, marks, digits, connectors; PCRE2 10.42: no marks  -> spelled out
//   \h     Oniguruma: hex digit; PCRE2: horizontal space                            -> spelled out
//   (?m)   Oniguruma: dot matches newline; PCRE2: ^ and $ at lines                  -> (?s); lines are always on
//   {n,m}+ Oniguruma: one or more of X{n,m}; PCRE2: possessive                      -> (?:X{n,m})+
//   {,m}   Oniguruma: {0,m}; PCRE2 10.42: literal                                   -> {0,m}
// Nested classes, intersections, POSIX brackets, subexpression calls, callouts, conditionals and rarer escapes are refused.
namespace finback {
namespace {

constexpr const char* kSpaces = R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr const char* kNotSpaces =
    R"(\x{0}-\x{8}\x{e}-\x{1f}\x{21}-\x{84}\x{86}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}\x{202a}-\x{202e}\x{2030}-\x{205e})"
    R"(\x{2060}-\x{2fff}\x{3001}-\x{10ffff})";
constexpr const char* kWords = R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{24b6}-\x{24e9}\x{1f130}-\x{1f149}\x{1f150}-\x{1f169}\x{1f170}-\x{1f189})";

class Translator {
 public:
  Translator(std::string_view pattern, const std::string& where) : in_(pattern), where_(where) {}

  std::string run() {
    while (at_ < in_.size()) {
      const char c = in_[at_];
      if (c == '\\') {
        begin_atom();
        escape(false);
      } else if (c == '[') {
        begin_atom();
        bracket();
      } else if (c == '(') {
        open_group();
      } else if (c == ')') {
        close_group();
      } else if (c == '*' || c == '+' || c == '?') {
        quantifier();
      } else if (c == '{' && interval_length() > 0) {
        interval();
      } else {
        begin_atom();
        const size_t length = decode_utf8(in_, at_).length;
        if (c == '{' || c == '#') out_ += '\\';
        out_ += in_.substr(at_, length);
        at_ += length;
      }
    }
    FB_CHECK(groups_.empty(), "{}: expected a closing parenthesis in the pattern", where_);
    return out_;
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const { FB_FAIL("{}: {} in a pattern is not supported (byte {})", where_, what, at_); }
  bool follows(std::string_view text) const { return in_.substr(at_).starts_with(text); }
  void begin_atom() { atom_ = out_.size(); }

  // \u0041, \x41, \x{41}: as \x{41}.
  void code_point(size_t digits_at, size_t digits, size_t after) {
    const std::string_view hex = in_.substr(std::min(digits_at, in_.size()), digits);
    const bool fine =
        hex.size() == digits && digits >= 1 && digits <= 6 && hex.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos;
    FB_CHECK(fine, "{}: expected hexadecimal digits at byte {} of the pattern", where_, digits_at);
    out_ += fmt::format("\\x{{{}}}", hex);
    at_ = after;
  }

  void hexadecimal() {
    if (in_.substr(at_ + 2, 1) == "{") {
      const size_t close = in_.find('}', at_);
      FB_CHECK(close != std::string_view::npos, "{}: expected }} after \\x{{ in the pattern", where_);
      return code_point(at_ + 3, close - at_ - 3, close + 1);
    }
    const std::string_view hex = in_.substr(at_ + 2, 2);
    if (hex.size() == 2 && hex[0] > '7') refuse("a byte escape \\x80 to \\xFF");
    code_point(at_ + 2, 2, at_ + 4);
  }

  void property() {
    const size_t close = in_.find('}', at_);
    FB_CHECK(in_.substr(at_ + 2, 1) == "{" && close != std::string_view::npos, "{}: expected {{NAME}} after \\{} in the pattern", where_,
             in_[at_ + 1]);
    const std::string_view name = in_.substr(at_ + 3, close - at_ - 3);
    if (name.find_first_of("=:") != std::string_view::npos) refuse(fmt::format("the property {}", name));
    out_ += in_.substr(at_, close + 1 - at_);
    at_ = close + 1;
  }

  // A set of characters: bare within a bracket, bracketed outside.
  void set(const char* members, bool in_class, bool negated = false) {
    if (in_class && negated) refuse(fmt::format("\\{} within brackets", in_[at_ + 1]));
    out_ += in_class ? members : fmt::format("[{}{}]", negated ? "^" : "", members);
    at_ += 2;
  }

  void escape(bool in_class) {
    FB_CHECK(at_ + 1 < in_.size(), "{}: expected a character after the last backslash of the pattern", where_);
    const char c = in_[at_ + 1];
    switch (c) {
      case 's':
        return set(kSpaces, in_class);
      case 'S':
        return set(kNotSpaces, in_class);
      case 'w':
        return set(kWords, in_class);
      case 'W':
        return set(kWords, in_class, true);
      case 'h':
        return set("0-9a-fA-F", in_class);
      case 'H':
        return set("0-9a-fA-F", in_class, true);
      case 'p':
      case 'P':
        return property();
      case 'x':
        return hexadecimal();
      case 'u':
        return code_point(at_ + 2, 4, at_ + 6);
      default:
        break;
    }
    const bool letter_or_digit = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    const std::string_view kept = in_class ? "dDnrtfave" : "dDnrtfaveAzZ";
    if (letter_or_digit && kept.find(c) == std::string_view::npos) refuse(fmt::format("the escape \\{}", c));
    if (c == 'v') {
      out_ += "\\x{b}";
      at_ += 2;
      return;
    }
    const size_t length = 1 + decode_utf8(in_, at_ + 1).length;
    if (length == 2) {
      out_ += in_.substr(at_, 2);
    } else {
      out_ += in_.substr(at_ + 1, length - 1);  // an escaped non-ASCII character is itself
    }
    at_ += length;
  }

  void bracket() {
    out_ += '[';
    ++at_;
    if (follows("^")) {
      out_ += '^';
      ++at_;
    }
    bool first = true;
    for (; at_ < in_.size(); first = false) {
      const char c = in_[at_];
      if (c == ']' && !first) {
        out_ += ']';
        ++at_;
        return;
      }
      if (c == '[') refuse(follows("[:") ? "a POSIX bracket" : "a class within a class");
      if (follows("&&")) refuse("an intersection of classes (&&)");
      if (c == '\\') {
        escape(true);
        continue;
      }
      const size_t length = decode_utf8(in_, at_).length;
      if (c == ']') out_ += '\\';
      out_ += in_.substr(at_, length);
      at_ += length;
    }
    FB_FAIL("{}: expected a closing bracket in the pattern", where_);
  }

  void open_group() {
    if (follows("(*")) refuse("a callout (*...)");
    groups_.push_back(out_.size());
    for (const std::string_view plain : {"(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>"}) {
      if (follows(plain)) {
        out_ += plain;
        at_ += plain.size();
        return;
      }
    }
    if (!follows("(?")) {
      out_ += "(?:";  // a capture that nothing refers to: back-references are refused
      ++at_;
      return;
    }
    size_t end = at_ + 2;
    while (end < in_.size() && std::string_view("imx-").find(in_[end]) != std::string_view::npos) ++end;
    const bool options = end > at_ + 2 && end < in_.size() && (in_[end] == ':' || in_[end] == ')');
    if (!options) refuse("the group " + std::string(in_.substr(at_, 4)));
    std::string text(in_.substr(at_, end + 1 - at_));
    if (text.find('x') != std::string::npos) refuse("the option x");
    for (char& c : text) c = c == 'm' ? 's' : c;
    out_ += text;
    if (in_[end] == ')') {
      groups_.pop_back();
      if (at_ != 0)
        refuse("an option " + text + " inside the pattern");  // Ruby's reaches over the alternatives that follow, PCRE2's does not
    }
    at_ = end + 1;
  }

  void close_group() {
    FB_CHECK(!groups_.empty(), "{}: expected no closing parenthesis at byte {} of the pattern", where_, at_);
    atom_ = groups_.back();
    groups_.pop_back();
    out_ += ')';
    ++at_;
  }

  void quantifier() {
    out_ += in_[at_++];
    if (at_ < in_.size() && (in_[at_] == '?' || in_[at_] == '+')) out_ += in_[at_++];
  }

  // Length of {n}, {n,}, {,m} or {n,m} at this place; 0 if the brace is a literal.
  size_t interval_length() const {
    size_t at = at_ + 1, digits = 0, commas = 0;
    for (; at < in_.size() && in_[at] != '}'; ++at) {
      if (in_[at] == ',') {
        if (++commas > 1) return 0;
      } else if (in_[at] >= '0' && in_[at] <= '9') {
        ++digits;
      } else {
        return 0;
      }
    }
    return at < in_.size() && digits > 0 ? at + 1 - at_ : 0;
  }

  void interval() {
    std::string text(in_.substr(at_, interval_length()));
    at_ += text.size();
    if (text[1] == ',') text.insert(1, "0");
    out_ += text;
    if (at_ < in_.size() && in_[at_] == '+') {
      ++at_;
      out_.insert(atom_, "(?:");
      out_ += ")+";
    } else if (at_ < in_.size() && in_[at_] == '?') {
      ++at_;
      out_ += '?';
    }
  }

  std::string_view in_;
  const std::string& where_;
  std::string out_;
  size_t at_ = 0, atom_ = 0;    // next byte of in_; where the last atom starts in out_
  std::vector<size_t> groups_;  // where each open group starts in out_
};

}  // namespace

std::string translate_pattern(std::string_view pattern, const std::string& where) {
  FB_CHECK(!pattern.empty() && pattern.size() <= 65536, "{}: expected a pattern of 1 to 65536 bytes, got {}", where, pattern.size());
  FB_CHECK(utf8_valid_prefix(pattern) == pattern.size(), "{}: expected a pattern in UTF-8", where);
  return Translator(pattern, where).run();
}

}  // namespace finback
