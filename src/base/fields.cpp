#include "base/fields.h"

#include <algorithm>

#include "base/edit_distance.h"
#include "base/toml.h"

namespace finback {
std::string nearest_word(const std::string& word, const std::vector<std::string>& candidates) {
  std::string best;
  size_t best_distance = std::max<size_t>(1, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) best_distance = distance, best = candidate;
  }
  return best;
}

std::string nearest_dotted(const std::string& word, const std::vector<std::string>& names) {
  const auto last = [](const std::string& name) { return name.substr(name.rfind('.') + 1); };
  std::vector<std::string> parts;
  for (const std::string& name : names) parts.push_back(last(name));
  const std::string near = nearest_word(last(word), parts);
  const auto found = std::find(parts.begin(), parts.end(), near);
  return near.empty() || found == parts.end() ? "" : names[size_t(found - parts.begin())];
}

Json parse_typed_list(const std::string& text, const std::string& what) {
  FB_CHECK(text.starts_with('['), "{}: expected a list as in [1, 2] or [{{path = \"x\"}}], got \"{}\"", what, text.substr(0, 80));
  return parse_toml("value = " + text, what).at("value");
}

void fail_unknown_key(const std::string& key, const std::string& what, const std::vector<std::string>& known) {
  const std::string near = nearest_word(key, known);
  if (!near.empty()) FB_FAIL("{}: unknown key \"{}\". Did you mean \"{}\"?", what, key, near);
  std::string all;
  for (const std::string& name : known) all += (all.empty() ? "" : ", ") + name;
  FB_FAIL("{}: unknown key \"{}\". Known keys: {}", what, key, all);
}

}  // namespace finback
