// A recipe's cost on this machine: some steps are timed on random ids, the rest is arithmetic (cost/local_plan.h).
#pragma once
#include <string>

#include "base/json.h"

namespace finback {

// Throws Error for a recipe that does not load. rate 0: the price table's.
Json plan_here(const std::string& recipe, double rate);
std::string plan_here_text(const Json& plan);

}  // namespace finback
