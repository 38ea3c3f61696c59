#include "base/note.h"

#include <fmt/format.h>

#include <cstdio>
#include <mutex>
#include <set>

namespace finback {

void note_once(const std::string& line) {
  static std::mutex mutex;
  static std::set<std::string> said;
  std::lock_guard lock(mutex);
  if (said.insert(line).second) fmt::print(stderr, "{}\n", line);
}

}  // namespace finback
