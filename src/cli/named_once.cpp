#include "cli/named_once.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "base/status_line.h"

namespace finback {
namespace {

std::filesystem::path place_of(const std::string& name) {
  std::error_code none;
  std::filesystem::path place = std::filesystem::weakly_canonical(name, none);
  if (none) place = name;
  if (place.filename() == "metrics.jsonl" || !place.has_filename()) place = place.parent_path();
  return place;
}

}  // namespace

bool is_same_place(const std::string& a, const std::string& b) { return place_of(a) == place_of(b); }

std::vector<std::string> named_once(const std::vector<std::string>& places) {
  std::vector<std::string> once;
  for (const std::string& place : places) {
    const auto before = std::find_if(once.begin(), once.end(), [&](const std::string& other) { return is_same_place(other, place); });
    if (before == once.end()) {
      once.push_back(place);
    } else {
      warn(fmt::format("{}: named twice, counts once{}", place, place == *before ? "" : fmt::format(" (it is {})", *before)));
    }
  }
  return once;
}

}  // namespace finback
