// Shapes under the names that other people's config.json files give them; absent and null are the same. Errors name the key.
#pragma once
#include <algorithm>
#include <initializer_list>
#include <optional>
#include <string>

#include "base/json.h"

namespace finback {

struct ShapeKeys {
  const Json& json;
  const std::string& what;

  const Json* find(const char* key) const {
    const auto found = json.find(key);
    return found == json.end() || found->is_null() ? nullptr : &*found;
  }
  int64_t needed(const char* key, int64_t high) const {
    FB_CHECK(find(key), "{}: expected key \"{}\", not there", what, key);
    return json_integer(json, key, what, 1, high);
  }
  int64_t integer(const char* key, int64_t fallback, int64_t high) const {
    return find(key) ? json_integer(json, key, what, 0, high) : fallback;
  }
  bool boolean(const char* key, bool fallback) const {
    const Json* value = find(key);
    FB_CHECK(!value || value->is_boolean(), "{}: {}: expected true or false, got {}", what, key, dump_json_line(*value).substr(0, 60));
    return value ? value->get<bool>() : fallback;
  }
  // One number under any of several names; 0 under none.
  int64_t alias(std::initializer_list<const char*> keys, int64_t high) const {
    std::optional<int64_t> number;
    for (const char* key : keys) {
      if (!find(key)) continue;
      const int64_t here = json_integer(json, key, what, 0, high);
      FB_CHECK(!number || *number == here, "{}: {}: expected {} as under its other name, got {}", what, key, *number, here);
      number = here;
    }
    return number.value_or(0);
  }
  const Json* list(const char* key) const {
    const Json* value = find(key);
    FB_CHECK(!value || value->is_array(), "{}: {}: expected a list, got {}", what, key, dump_json_line(*value).substr(0, 60));
    return value;
  }
  // How many layers a list with a word for each gives one of these words.
  int64_t layers_with(const char* key, int64_t layers, std::initializer_list<const char*> wanted) const {
    const Json& words = *list(key);
    FB_CHECK(int64_t(words.size()) >= layers, "{}: {}: expected a word for each of {} layers, got {}", what, key, layers, words.size());
    return std::count_if(words.begin(), words.begin() + layers, [&](const Json& word) {
      return std::any_of(wanted.begin(), wanted.end(), [&](const char* one) { return word == one; });
    });
  }
};

}  // namespace finback
