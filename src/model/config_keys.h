// Reads and writes listed keys of a config.json: an absent key leaves its field as it is, a wrong type or range is an Error that names it.
// Knows no model.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace finback {

inline std::string shown(const Json& value) { return dump_json_line(value).substr(0, 60); }

// null: none of it for an integer that may be 0 or absent, no for a switch, and the same as absent for the rest.
struct ConfigKeyReader {
  const Json& json;
  const std::string& what;
  std::vector<std::string> known;
  std::vector<std::string> unbuilt = {};  // what asks for arithmetic that no code here has: "key: expected, got"

  const Json* find(const char* name) {
    known.push_back(name);
    const auto found = json.find(name);
    return found == json.end() || found->is_null() ? nullptr : &*found;
  }
  bool is_null(const char* name) const { return json.contains(name) && json[name].is_null(); }
  void operator()(const char* name, int64_t& value, int64_t low, int64_t high) {
    const bool none = low == 0 && is_null(name);
    if (find(name) || is_null(name)) value = none ? 0 : json_integer(json, name, what, low, high);
  }
  void operator()(const char* name, std::optional<int64_t>& value, int64_t low, int64_t high) {
    if (is_null(name)) value.reset();
    if (find(name)) value = json_integer(json, name, what, low, high);
  }
  void operator()(const char* name, double& value, double low, double high) {
    const Json* found = find(name);
    if (!found) return;
    FB_CHECK(found->is_number(), "{}: {}: expected a number, got {}", what, name, shown(*found));
    value = found->get<double>();
    FB_CHECK(value >= low && value <= high, "{}: {}: expected {} to {}, got {}", what, name, low, high, value);
  }
  void operator()(const char* name, std::optional<double>& value, double low, double high) {
    double number = low;
    (*this)(name, number, low, high);
    if (json.contains(name) && !json[name].is_null()) value = number;
  }
  void operator()(const char* name, bool& value, int, int) {
    const Json* found = find(name);
    if (is_null(name)) value = false;
    if (!found) return;
    FB_CHECK(found->is_boolean(), "{}: {}: expected true or false, got {}", what, name, shown(*found));
    value = found->get<bool>();
  }
  void operator()(const char* name, std::string& value, int, int) {
    if (find(name)) value = json_string(json, name, what).substr(0, 60);
  }
  // A key that says again what others say: absent, null or their value.
  void fixed(const char* name, const Json& value) {
    const Json* found = find(name);
    FB_CHECK(!found || *found == value, "{}: {}: expected {}, got {}", what, name, shown(value), shown(*found));
  }
  // A key whose value would change the arithmetic: absent, null or the value that is built. Another value of its type is noted.
  void built(const char* name, const Json& value) {
    const Json* found = find(name);
    if (!found || *found == value) return;
    const bool same_type = found->type() == value.type() || (found->is_number() && value.is_number());
    FB_CHECK(same_type, "{}: {}: expected {}, got {}", what, name, shown(value), shown(*found));
    unbuilt.push_back(fmt::format("{}: expected {}, got {}", name, shown(value), shown(*found)));
  }
};

struct ConfigKeyWriter {
  Json& json;
  template <class T>
  void operator()(const char* name, const T& value, double, double) {
    if constexpr (std::is_same_v<T, std::optional<int64_t>>) {
      json[name] = value ? Json(*value) : Json(nullptr);
    } else {
      json[name] = value;
    }
  }
};

}  // namespace finback
