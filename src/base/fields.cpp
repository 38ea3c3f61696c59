#include "base/fields.h"

#include <algorithm>

#include "base/edit_distance.h"

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

void fail_unknown_key(const std::string& key, const std::string& what, const std::vector<std::string>& known) {
  const std::string near = nearest_word(key, known);
  if (!near.empty()) FB_FAIL("{}: unknown key \"{}\". Did you mean \"{}\"?", what, key, near);
  std::string all;
  for (const std::string& name : known) all += (all.empty() ? "" : ", ") + name;
  FB_FAIL("{}: unknown key \"{}\". Known keys: {}", what, key, all);
}

}  // namespace finback
