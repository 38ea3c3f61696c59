// A recipe's cost on this machine, from a rehearsal of it (train/rehearsal.h).
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"

namespace finback {

struct PlanHere {
  Json json;
  std::string text;
};
// Throws Error for a recipe that could not be trained. rate 0: the recipe's, or the price table's.
PlanHere plan_here(const std::string& recipe, const std::vector<std::pair<std::string, std::string>>& overrides, double rate);

}  // namespace finback
