#include "base/toml.h"

#include <stdexcept>

// toml++ 3.3 asserts on some malformed input ("[[["): here that is a mistake from outside like any other. Some of its assertions stand in
// noexcept functions and would still end the program (none could be reached with 140,000 broken texts): the compiler's
// warning about those is off for this header. Values nest to kMaxDepth, keys have as many parts: what reads, turns and frees a tree recurses.
#define TOML_ASSERT(condition)                                      \
  do {                                                              \
    if (!(condition)) throw std::logic_error("not a key or value"); \
  } while (0)
#define TOML_MAX_NESTED_VALUES 32
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wterminate"
#include <toml++/toml.h>
#pragma GCC diagnostic pop

#include <algorithm>
#include <cmath>
#include <sstream>

#include "base/file.h"

namespace finback {
namespace {

constexpr int64_t kMaxDepth = TOML_MAX_NESTED_VALUES;

// Behind the string that begins at `at`; for one that never ends, the end of its line (or of the text, when it may have many).
size_t string_end(std::string_view text, size_t at) {
  const char quote = text[at];
  const std::string three(3, quote);
  const bool many = text.substr(at, 3) == three;
  for (size_t i = at + (many ? 3 : 1); i < text.size(); ++i) {
    if (quote == '"' && text[i] == '\\') {
      ++i;
    } else if (many && text.substr(i, 3) == three) {
      for (i += 3; i < text.size() && text[i] == quote && text.substr(i - 3, 5) != std::string(5, quote); ++i) {
      }
      return i;
    } else if (!many && (text[i] == quote || text[i] == '\n')) {
      return i + 1;
    }
  }
  return text.size();
}

// toml++ limits how deep values nest, not how many parts a key has, and ends the program for 100,000 of them.
void check_key_parts(std::string_view text, const std::string& what) {
  int64_t parts = 1, line = 1;
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (c == '#') {
      i = std::min(text.find('\n', i), text.size());
      continue;
    }
    if (c == '"' || c == '\'') {
      const size_t end = string_end(text, i);
      line += std::count(text.begin() + int64_t(i), text.begin() + int64_t(end), '\n');
      i = end;
      continue;
    }
    if (c == '.') FB_CHECK(++parts <= kMaxDepth, "{}:{}: expected TOML keys of at most {} parts, got more", what, line, kMaxDepth);
    if (std::string_view("=\n[]{},").find(c) != std::string_view::npos) parts = 1;
    line += c == '\n';
    ++i;
  }
}

// toml++ quotes the text it could not read, control characters included.
std::string one_line(std::string_view reason) {
  std::string line(reason);
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return line;
}

Json to_json(const toml::node& node) {
  if (const auto* table = node.as_table()) {
    Json object = Json::object();
    for (const auto& [key, value] : *table) object[std::string(key.str())] = to_json(value);
    return object;
  }
  if (const auto* array = node.as_array()) {
    Json list = Json::array();
    for (const auto& item : *array) list.push_back(to_json(item));
    return list;
  }
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* integer = node.as_integer()) return integer->get();
  if (const auto* number = node.as_floating_point()) return number->get();
  if (const auto* boolean = node.as_boolean()) return boolean->get();
  std::ostringstream other;  // dates and times
  other << toml::node_view(node);
  return other.str();
}

std::string scalar(const Json& value) {
  if (value.is_number_float()) {
    const double number = value.get<double>();
    if (std::isnan(number)) return "nan";
    if (std::isinf(number)) return number > 0 ? "inf" : "-inf";
    std::string text = fmt::format("{}", number);
    if (text.find_first_of(".e") == std::string::npos) text += ".0";
    return text;
  }
  return dump_json_line(value);  // JSON strings, integers, booleans and flat lists are valid TOML
}

bool is_table_list(const Json& value) { return value.is_array() && !value.empty() && value[0].is_object(); }

std::string bare_key(const std::string& key) {
  const bool bare =
      !key.empty() && key.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == std::string::npos;
  return bare ? key : dump_json_line(key);
}

void dump_table(const Json& table, const std::string& prefix, std::string& out) {
  for (const auto& [key, value] : table.items()) {
    if (value.is_null() || value.is_object() || is_table_list(value)) continue;
    if (value.is_array()) {
      std::string list;
      for (const Json& item : value) list += (list.empty() ? "" : ", ") + scalar(item);
      out += bare_key(key) + " = [" + list + "]\n";
    } else {
      out += bare_key(key) + " = " + scalar(value) + "\n";
    }
  }
  for (const auto& [key, value] : table.items()) {
    const std::string name = prefix + bare_key(key);
    if (value.is_object()) {
      out += "\n[" + name + "]\n";
      dump_table(value, name + ".", out);
    } else if (is_table_list(value)) {
      for (const Json& item : value) {
        out += "\n[[" + name + "]]\n";
        dump_table(item, name + ".", out);
      }
    }
  }
}

}  // namespace

Json parse_toml(std::string_view text, const std::string& what) {
  check_key_parts(text, what);
  try {
    return to_json(toml::parse(text));
  } catch (const toml::parse_error& e) {
    throw Error(fmt::format("{}:{}:{}: expected TOML, got an error: {}", what, e.source().begin.line, e.source().begin.column,
                            one_line(e.description())));
  } catch (const std::logic_error& e) {
    throw Error(fmt::format("{}: expected TOML, got an error: {}", what, one_line(e.what())));
  }
}

Json read_toml(const std::filesystem::path& path) { return parse_toml(read_file(path), path.string()); }

std::string dump_toml(const Json& json) {
  std::string out;
  dump_table(json, "", out);
  return out;
}

}  // namespace finback
