#include "base/note.h"

#include <mutex>
#include <set>

#include "base/status_line.h"

namespace finback {

void note_once(const std::string& line) {
  static std::mutex mutex;
  static std::set<std::string> said;
  std::lock_guard lock(mutex);
  if (said.insert(line).second) warn(line);
}

}  // namespace finback
