#include "data/json_record.h"

#include <cstdint>
#include <optional>

#include "base/error.h"
#include "tokenizer/utf8.h"

namespace finback {
namespace {

void skip_blanks(std::string_view& rest) {
  size_t n = 0;
  while (n < rest.size() && (rest[n] == ' ' || rest[n] == '\t' || rest[n] == '\n' || rest[n] == '\r')) ++n;
  rest.remove_prefix(n);
}

bool take(std::string_view& rest, char wanted) {
  skip_blanks(rest);
  if (rest.empty() || rest.front() != wanted) return false;
  rest.remove_prefix(1);
  return true;
}

// Four hexadecimal digits.
std::optional<uint32_t> hex4(std::string_view digits) {
  if (digits.size() < 4) return std::nullopt;
  uint32_t value = 0;
  for (const char c : digits.substr(0, 4)) {
    const bool digit = c >= '0' && c <= '9', upper = c >= 'A' && c <= 'F', lower = c >= 'a' && c <= 'f';
    if (!digit && !upper && !lower) return std::nullopt;
    value = value << 4 | uint32_t(digit ? c - '0' : upper ? c - 'A' + 10 : c - 'a' + 10);
  }
  return value;
}

// \uXXXX, the backslash and the u gone already; both halves of a pair at once.
bool read_escaped_character(std::string_view& rest, std::string& out, bool& repaired) {
  const auto first = hex4(rest);
  if (!first) return false;
  rest.remove_prefix(4);
  uint32_t value = *first;
  if (value >= 0xD800 && value < 0xDC00 && rest.starts_with("\\u")) {
    const auto second = hex4(rest.substr(2));
    if (second && *second >= 0xDC00 && *second < 0xE000) {
      rest.remove_prefix(6);
      value = 0x10000 + ((value - 0xD800) << 10) + (*second - 0xDC00);
    }
  }
  const bool half = value >= 0xD800 && value < 0xE000;
  repaired = repaired || half;
  append_utf8(out, half ? 0xFFFD : value);
  return true;
}

bool read_escape(std::string_view& rest, std::string& out, bool& repaired) {
  if (rest.empty()) return false;
  const char c = rest.front();
  rest.remove_prefix(1);
  if (c == 'u') return read_escaped_character(rest, out, repaired);
  static constexpr std::string_view kFrom = "\"\\/bfnrt", kTo = "\"\\/\b\f\n\r\t";
  const size_t at = kFrom.find(c);
  if (at == std::string_view::npos) return false;
  out += kTo[at];
  return true;
}

// Any value, passed over without a look at what it holds but for where its strings and brackets end.
bool skip_value(std::string_view& rest) {
  skip_blanks(rest);
  int64_t depth = 0;
  size_t at = 0;
  while (at < rest.size()) {
    const char c = rest[at];
    if (c == '"') {
      for (++at; at < rest.size() && rest[at] != '"'; ++at) at += rest[at] == '\\';
      if (at >= rest.size()) return false;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if (c == '}' || c == ']' || c == ',') {
      if (depth == 0) break;
      depth -= c != ',';
      if (depth == 0 && c != ',') {
        ++at;
        break;
      }
    } else if (depth == 0 && (c == ' ' || c == '\t')) {
      break;
    }
    ++at;
    if (depth == 0 && c == '"') break;
  }
  rest.remove_prefix(at);
  return at > 0 && depth == 0;
}

const char* kind_of_value(char first) {
  switch (first) {
    case '"':
      return "a string";
    case '{':
      return "an object";
    case '[':
      return "a list";
    case 't':
    case 'f':
      return "true or false";
    case 'n':
      return "null";
    default:
      return "a number";
  }
}

// A string into `out`; any other value is passed over. False where the line is broken.
bool read_text_or_skip(std::string_view& rest, std::string& out, bool& repaired, bool& is_text) {
  skip_blanks(rest);
  is_text = !rest.empty() && rest.front() == '"';
  out.clear();
  return is_text ? read_json_text(rest, out, repaired) : skip_value(rest);
}

struct FieldsSeen {
  std::string names, text_problem;
  bool text = false, text_twice = false, messages = false;
};

// One "key": value. False where the line is broken.
bool read_field(std::string_view& rest, JsonRecord& record, FieldsSeen& seen) {
  std::string key;
  bool ignored = false, is_text = false;
  skip_blanks(rest);
  if (!read_json_text(rest, key, ignored) || !take(rest, ':')) return false;
  skip_blanks(rest);
  if (rest.empty()) return false;
  if (seen.names.size() < 60) seen.names += (seen.names.empty() ? "" : ", ") + key.substr(0, 20);
  const char first = rest.front();
  if (key == "text") {
    seen.text_twice = seen.text_twice || seen.text;
    seen.text = true;
    record.repaired = false;
    if (!read_text_or_skip(rest, record.text, record.repaired, is_text)) return false;
    seen.text_problem = is_text ? "" : fmt::format("its text is {}", kind_of_value(first));
    return true;
  }
  if (key == "source") return read_text_or_skip(rest, record.source, ignored, is_text);
  if (key == "id") return read_text_or_skip(rest, record.id, ignored, is_text);
  seen.messages = seen.messages || (first == '[' && (key == "messages" || key == "conversations"));
  return skip_value(rest);
}

// Reads the line to its end; where and why it is broken, or empty.
std::string read_fields(std::string_view line, JsonRecord& record, FieldsSeen& seen) {
  std::string_view rest = line;
  if (rest.starts_with("\xEF\xBB\xBF")) rest.remove_prefix(3);  // files joined end to end
  skip_blanks(rest);
  const bool object = !rest.empty() && rest.front() == '{';
  if (!object) {
    const bool json = !rest.empty() && (std::string_view("\"[-0123456789").find(rest.front()) != std::string_view::npos ||
                                        rest.starts_with("null") || rest.starts_with("true") || rest.starts_with("false"));
    return json ? fmt::format("{} and no record {{\"text\": ...}}", kind_of_value(rest.front())) : "not JSON: it does not begin with {";
  }
  rest.remove_prefix(1);
  const auto broken = [&] {
    return rest.empty() ? std::string("not JSON: it ends in the middle of the record")
                        : fmt::format("not JSON: broken at byte {}", line.size() - rest.size() + 1);
  };
  if (!take(rest, '}')) {
    do {
      if (!read_field(rest, record, seen)) return broken();
    } while (take(rest, ','));
    if (!take(rest, '}')) return broken();
  }
  skip_blanks(rest);
  if (rest.empty()) return "";
  return rest.front() == '{' ? "two records on a line"
                             : fmt::format("not JSON: more behind the record, at byte {}", line.size() - rest.size() + 1);
}

}  // namespace

bool read_json_text(std::string_view& rest, std::string& out, bool& repaired) {
  out.clear();
  if (rest.empty() || rest.front() != '"') return false;
  rest.remove_prefix(1);
  while (true) {
    size_t plain = 0;
    while (plain < rest.size() && rest[plain] != '"' && rest[plain] != '\\') {
      repaired = repaired || uint8_t(rest[plain]) < 0x20;
      ++plain;
    }
    out.append(rest.substr(0, plain));
    rest.remove_prefix(plain);
    if (rest.empty()) return false;
    const char c = rest.front();
    rest.remove_prefix(1);
    if (c == '"') return true;
    if (!read_escape(rest, out, repaired)) return false;
  }
}

JsonRecord read_json_record(std::string_view line) {
  JsonRecord record;
  FieldsSeen seen;
  record.problem = read_fields(line, record, seen);
  if (!record.problem.empty()) return record;
  record.object = true;
  if (seen.text_twice) {  // readers differ in which one they take
    record.problem = "two fields \"text\"";
    return record;
  }
  record.chat = seen.messages && (!seen.text || !seen.text_problem.empty());
  record.empty = seen.text && seen.text_problem.empty() && record.text.find_first_not_of(" \t\r\n") == std::string::npos;
  if (record.chat) {
    record.problem = "a chat (messages)";
  } else if (!seen.text) {
    record.problem = seen.names.empty() ? "an empty record" : fmt::format("no \"text\" (its fields: {})", seen.names);
  } else if (!seen.text_problem.empty()) {
    record.problem = seen.text_problem;
  } else if (record.empty) {
    record.problem = "its text is empty";
  }
  return record;
}

}  // namespace finback
