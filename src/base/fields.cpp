#include "base/fields.h"

#include <algorithm>

namespace finback {
namespace {

size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substitute = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitute});
    }
  }
  return row[b.size()];
}

}  // namespace

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
