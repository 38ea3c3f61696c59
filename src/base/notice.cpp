#include "base/notice.h"

#include <mutex>
#include <set>

#include "base/status_line.h"

namespace finback {

void notice_once(const std::string& line) {
  static std::mutex mutex;
  static std::set<std::string> said;
  const std::lock_guard lock(mutex);
  if (said.insert(line).second) warn(line);
}

}  // namespace finback
