// The keys of a recipe for `finback train --help`: those that matter first, then the others by section. Says of each key what its field list says
// (train_config.h), and knows nothing of its own but the order.
#pragma once
#include <string>
#include <vector>

namespace finback {

std::string recipe_help();
// Every key that --section.key=value may set.
std::vector<std::string> recipe_keys();

}  // namespace finback
