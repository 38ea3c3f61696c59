#include "base/json.h"

#include <set>

#include "base/file.h"

namespace finback {
namespace {

// Hears of every key while a text is parsed: nlohmann keeps the last of two equal ones without a word.
struct KeyWatch {
  std::string what;
  std::vector<std::set<std::string>> open;  // keys of the objects around the current place

  bool operator()(int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) open.emplace_back();
    if (event == Json::parse_event_t::object_end) open.pop_back();
    if (event == Json::parse_event_t::key) {
      const std::string& key = parsed.get_ref<const std::string&>();
      FB_CHECK(open.back().insert(key).second, "{}: expected key {} once, it is there twice", what, dump_json_line(key.substr(0, 60)));
    }
    return true;
  }
};

// Stops at nesting deeper than the bound before the DOM parser would recurse over the result (its destructor recurses as well).
void check_depth(std::string_view text, const std::string& what, int max_depth) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      FB_CHECK(++depth <= max_depth, "{}: JSON nested deeper than {} levels at byte {}", what, max_depth, i);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
}

Json parse_with(std::string_view text, const std::string& what, int max_depth, const Json::parser_callback_t& watch) {
  check_depth(text, what, max_depth);
  // nlohmann takes it for the end, whatever follows.
  FB_CHECK(text.find('\0') == text.npos, "{}: expected JSON, got a zero byte at {}", what, text.find('\0'));
  try {
    return Json::parse(text, watch);
  } catch (const nlohmann::json::exception& e) {
    std::string reason = e.what();
    if (const size_t colon = reason.find("] "); colon != std::string::npos) reason = reason.substr(colon + 2);
    for (char& c : reason) {
      if (c == '\n' || c == '\r') c = ' ';
    }
    throw Error(fmt::format("{}: expected JSON, got {}", what, reason));
  }
}

}  // namespace

Json parse_json(std::string_view text, const std::string& what, int max_depth) { return parse_with(text, what, max_depth, nullptr); }

Json read_json(const std::filesystem::path& path) { return parse_with(read_file(path), path.string(), 200, KeyWatch{path.string(), {}}); }

std::string dump_json(const Json& json, int indent) { return json.dump(indent, ' ', false, Json::error_handler_t::replace) + "\n"; }

std::string dump_json_line(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

const Json& json_at(const Json& object, const std::string& key, const std::string& what) {
  FB_CHECK(object.is_object(), "{}: expected an object with key \"{}\", got {}", what, key, object.type_name());
  const auto found = object.find(key);
  FB_CHECK(found != object.end(), "{}: expected key \"{}\", not there", what, key);
  return *found;
}

std::string json_string(const Json& object, const std::string& key, const std::string& what) {
  const Json& value = json_at(object, key, what);
  FB_CHECK(value.is_string(), "{}: expected a string at \"{}\", got {}", what, key, value.type_name());
  return value.get<std::string>();
}

int64_t json_integer(const Json& object, const std::string& key, const std::string& what, int64_t low, int64_t high) {
  const Json& value = json_at(object, key, what);
  const bool fits = value.is_number_integer() && !(value.is_number_unsigned() && value.get<uint64_t>() > uint64_t(INT64_MAX));
  FB_CHECK(fits, "{}: expected an integer at \"{}\", got {}", what, key, dump_json_line(value).substr(0, 60));
  const int64_t n = value.get<int64_t>();
  FB_CHECK(n >= low && n <= high, "{}: expected \"{}\" between {} and {}, got {}", what, key, low, high, n);
  return n;
}

}  // namespace finback
