// What is known of a flag before it is given: its name and what people are told about it. Data only.
#pragma once
#include <string>
#include <vector>

namespace finback {

// A flag as --help and shell completion show it. `value_name`: empty for a switch, "a|b|c" when it is one of these.
struct FlagHelp {
  std::string name, value_name, help;
  bool developer = false;               // for tests and developers: --help-all alone shows it
  bool repeatable = false;              // may be given several times
  std::vector<std::string> modes = {};  // of a verb that does several things: those in which it has an effect; empty: all
};

}  // namespace finback
