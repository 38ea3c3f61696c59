// A config is an aggregate with a default on every field and one function that lists each field once with its help text:
//
//   struct OptimizerConfig { double lr = 1e-3; };
//   template <class V> void visit_fields(OptimizerConfig& c, V& v) { v("lr", c.lr, "peak learning rate"); }
//
// Loading, unknown-key errors, dumping, --section.key=value overrides and --help all come from that list. A member that has a
// visit_fields of its own is a section; a std::vector of such structs is an array of tables. An absent optional is dumped as null.
#pragma once
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/json.h"

namespace finback {

// The candidate with the smallest edit distance to `word`, empty when none is near (more than a third of its letters differ).
std::string nearest_word(const std::string& word, const std::vector<std::string>& candidates);
// Of dotted names, the one whose last part is `word` or near it; empty when there is none.
std::string nearest_dotted(const std::string& word, const std::vector<std::string>& names);
// A list as typed: JSON, or TOML as in [{path = "x"}]. Throws Error naming `what`.
Json parse_typed_list(const std::string& text, const std::string& what);
// "unknown key "x" in recipe.toml [section]. Did you mean "y"?"; throws Error.
[[noreturn]] void fail_unknown_key(const std::string& key, const std::string& what, const std::vector<std::string>& known);

namespace fields_internal {

struct AnyVisitor {
  template <class T>
  void operator()(const char*, T&, const char*) {}
};

template <class T>
concept Section = requires(T& t, AnyVisitor& v) {
  visit_fields(t, v);
};

template <class T>
struct is_vector : std::false_type {};
template <class T>
struct is_vector<std::vector<T>> : std::true_type {};
// A list whose items are sections: an array of tables.
template <class T>
struct is_table_list : std::false_type {};
template <class T>
struct is_table_list<std::vector<T>> : std::bool_constant<Section<T>> {};
template <class T>
struct is_optional : std::false_type {};
template <class T>
struct is_optional<std::optional<T>> : std::true_type {};

[[noreturn]] inline void fail_type(const std::string& what, const char* expected, const Json& got) {
  throw Error(fmt::format("{}: expected {}, got {}", what, expected, dump_json_line(got).substr(0, 80)));
}

template <class T>
void assign(T& out, const Json& in, const std::string& what);
template <class T>
Json to_json_value(T& value);

// Reads every listed key of an object and remembers the names for the unknown-key error.
struct FieldLoader {
  const Json& object;
  const std::string& what;
  std::vector<std::string> known;
  template <class T>
  void operator()(const char* name, T& value, const char*) {
    known.push_back(name);
    if (const auto found = object.find(name); found != object.end()) assign(value, *found, what + ": " + name);
  }
};

struct Dumper {
  Json object = Json::object();
  template <class T>
  void operator()(const char* name, T& value, const char*) {
    object[name] = to_json_value(value);
  }
};

struct Setter {
  std::string head, tail, text;
  const std::string& what;
  bool found = false;
  std::vector<std::string> known;
  template <class T>
  void operator()(const char* name, T& value, const char*) {
    known.push_back(name);
    if (head != name) return;
    found = true;
    if constexpr (Section<T>) {
      FB_CHECK(!tail.empty(), "{}: \"{}\" is a section. Hint: --{}.KEY=VALUE", what, head, head);
      Setter inner{tail.substr(0, tail.find('.')),
                   tail.find('.') == std::string::npos ? "" : tail.substr(tail.find('.') + 1),
                   text,
                   what,
                   false,
                   {}};
      visit_fields(value, inner);
      if (!inner.found) fail_unknown_key(inner.head, what, inner.known);
    } else {
      FB_CHECK(tail.empty(), "{}: \"{}\" has no keys below it", what, head);
      if constexpr (std::is_same_v<T, std::string>) {
        value = text;
      } else {
        Json parsed = Json::parse(text, nullptr, false);
        if (parsed.is_discarded()) parsed = is_vector<T>::value ? parse_typed_list(text, what) : Json(text);
        assign(value, parsed, what + ": " + head);
      }
    }
  }
};

struct NameList {
  std::string prefix;
  std::vector<std::string> list;
  template <class T>
  void operator()(const char* name, T& value, const char*) {
    if constexpr (Section<T>) {
      NameList inner{prefix + name + ".", {}};
      visit_fields(value, inner);
      list.insert(list.end(), inner.list.begin(), inner.list.end());
    } else {
      list.push_back(prefix + name);
    }
  }
};

struct HelpText {
  std::string prefix, text;
  template <class T>
  void operator()(const char* name, T& value, const char* help) {
    if constexpr (Section<T>) {
      HelpText inner{prefix + name + ".", ""};
      visit_fields(value, inner);
      text += inner.text;
    } else if constexpr (is_table_list<T>::value) {
      text += fmt::format("  [[{}]]  {}\n", prefix + name, help);
      typename T::value_type item{};
      HelpText inner{prefix + name + "[].", ""};
      visit_fields(item, inner);
      text += inner.text;
    } else {
      text += fmt::format("  {:<34} {} (default {})\n", prefix + name, help, dump_json_line(to_json_value(value)));
    }
  }
};

template <class T>
void load_object(T& config, const Json& json, const std::string& what) {
  FB_CHECK(json.is_object(), "{}: expected a table, got {}", what, json.type_name());
  FieldLoader loader{json, what, {}};
  visit_fields(config, loader);
  for (const auto& [key, value] : json.items()) {
    bool listed = false;
    for (const std::string& name : loader.known) listed |= name == key;
    if (!listed) fail_unknown_key(key, what, loader.known);
  }
}

// Whether a whole number lies in T's range, compared exactly: double(max) of 64 bits is already one too many.
template <class T>
bool fits(const Json& number) {
  if (number.is_number_unsigned()) return std::in_range<T>(number.get<uint64_t>());
  if (number.is_number_integer()) return std::in_range<T>(number.get<int64_t>());
  const double wide = number.get<double>();
  return wide >= double(std::numeric_limits<T>::min()) && wide < std::ldexp(1.0, std::numeric_limits<T>::digits);
}

template <class T>
void assign(T& out, const Json& in, const std::string& what) {
  if constexpr (Section<T>) {
    load_object(out, in, what);
  } else if constexpr (is_optional<T>::value) {
    if (in.is_null()) {
      out.reset();
    } else {
      assign(out.emplace(), in, what);
    }
  } else if constexpr (is_vector<T>::value) {
    if (!in.is_array()) fail_type(what, "a list", in);
    out.clear();
    for (size_t i = 0; i < in.size(); ++i) assign(out.emplace_back(), in[i], what + "[" + std::to_string(i) + "]");
  } else if constexpr (std::is_same_v<T, bool>) {
    if (!in.is_boolean()) fail_type(what, "true or false", in);
    out = in.get<bool>();
  } else if constexpr (std::is_integral_v<T>) {
    // 1e6 and 2048.0 are integers to a person; 0.5 is not.
    const bool whole = in.is_number_integer() || (in.is_number_float() && std::floor(in.get<double>()) == in.get<double>());
    if (!whole) fail_type(what, "an integer", in);
    if (!fits<T>(in)) fail_type(what, "an integer in range", in);
    out = in.get<T>();
  } else if constexpr (std::is_floating_point_v<T>) {
    if (!in.is_number()) fail_type(what, "a number", in);
    out = in.get<T>();
  } else if constexpr (std::is_same_v<T, std::string>) {
    if (!in.is_string()) fail_type(what, "a string", in);
    out = in.get<std::string>();
  } else {
    static_assert(std::is_same_v<T, Json>, "a config field of a type that fields.h does not know");
    out = in;
  }
}

template <class T>
Json to_json_value(T& value) {
  if constexpr (Section<T>) {
    Dumper dumper;
    visit_fields(value, dumper);
    return dumper.object;
  } else if constexpr (is_optional<T>::value) {
    return value ? to_json_value(*value) : Json(nullptr);
  } else if constexpr (is_vector<T>::value) {
    Json list = Json::array();
    for (auto& item : value) list.push_back(to_json_value(item));
    return list;
  } else {
    return Json(value);
  }
}

}  // namespace fields_internal

// Overwrites the fields named in `json`; an unknown key is an error that names the nearest one. `what`: file name for messages.
template <class T>
void load_fields(T& config, const Json& json, const std::string& what) {
  fields_internal::load_object(config, json, what);
}

template <class T>
Json dump_fields(T& config) {
  return fields_internal::to_json_value(config);
}

// The dotted name of every field that takes a value.
template <class T>
std::vector<std::string> field_names(T& config, const std::string& prefix = "") {
  fields_internal::NameList names{prefix, {}};
  visit_fields(config, names);
  return names.list;
}

// One override, `path` = "section.key", `text` as typed on the command line.
template <class T>
void set_field(T& config, const std::string& path, const std::string& text) {
  const std::string what = "--" + path;
  const size_t dot = path.find('.');
  fields_internal::Setter setter{path.substr(0, dot), dot == std::string::npos ? "" : path.substr(dot + 1), text, what, false, {}};
  visit_fields(config, setter);
  if (setter.found) return;
  const std::string near = nearest_dotted(path, field_names(config));
  FB_CHECK(near.empty() || dot != std::string::npos, "{}: unknown key. Did you mean --{}?", what, near);
  fail_unknown_key(setter.head, what, setter.known);
}

// A line per field: dotted name, help, default.
template <class T>
std::string help_fields(T& config) {
  fields_internal::HelpText helper{"", ""};
  visit_fields(config, helper);
  return helper.text;
}

}  // namespace finback
