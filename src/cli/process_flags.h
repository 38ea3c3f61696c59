// The flags that every verb takes, and what they do to the process: --threads, --kernels, --quiet, --poison, --failpoint. They are declared in a verb's own
// table, so they are recognised only where a flag may stand: not as another flag's value, not behind "--".
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/flag_help.h"

namespace finback {

std::vector<FlagHelp> process_flags();
// What was given, else the defaults.
struct ProcessFlags {
  bool quiet, poison;
  std::optional<std::string> failpoint;
  int64_t threads;
  std::string kernels;
};
// Sets the pool's threads, the kernels, poisoned memory and the failpoint. Throws Error for a bad value.
void apply_process_flags(const ProcessFlags& given);

}  // namespace finback
