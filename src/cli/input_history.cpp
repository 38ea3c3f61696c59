#include "cli/input_history.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <utility>

#include "base/file.h"
#include "base/json.h"
#include "base/status_line.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

std::string line_of(const std::string& text) { return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"; }

}  // namespace

fs::path default_history_file() {
  const auto folder = [](const char* name) {
    const char* value = std::getenv(name);
    return fs::path(value && fs::path(value).is_absolute() ? value : "");
  };
  fs::path state = folder("XDG_STATE_HOME");
  if (state.empty() && !folder("HOME").empty()) state = folder("HOME") / ".local" / "state";
  return state.empty() ? state : state / "finback" / "chat_history";
}

InputHistory::InputHistory(fs::path file) : file_(std::move(file)) {
  std::error_code absent;
  if (file_.empty() || !fs::is_regular_file(file_, absent)) return;
  size_t lines = 0;
  try {
    std::istringstream text(read_file(file_));
    for (std::string line; std::getline(text, line); ++lines) {
      const Json entry = Json::parse(line, nullptr, false);
      if (entry.is_string()) entries_.push_back(entry.get<std::string>());
    }
  } catch (const Error& e) {
    warn(std::string(e.what()) + ": the history of this conversation is not kept");
    file_.clear();
    return;
  }
  if (entries_.size() > kHistoryEntries) entries_.erase(entries_.begin(), entries_.end() - ptrdiff_t(kHistoryEntries));
  if (lines < 2 * kHistoryEntries) return;
  std::string kept;
  for (const std::string& entry : entries_) kept += line_of(entry);
  write_file_atomic(file_, kept);
}

void InputHistory::add(const std::string& text) {
  if (!entries_.empty() && entries_.back() == text) return;
  entries_.push_back(text);
  if (file_.empty()) return;
  std::error_code failed;
  if (file_.has_parent_path()) fs::create_directories(file_.parent_path(), failed);
  const std::string line = line_of(text);
  const int fd = ::open(file_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);  // what one said is nobody else's
  const bool written = fd >= 0 && ::write(fd, line.data(), line.size()) == ssize_t(line.size());
  const int why = errno;
  if (fd >= 0) ::close(fd);
  if (written) return;
  warn(fmt::format("{}: cannot write: {}: the history of this conversation is not kept", file_.string(), std::strerror(why)));
  file_.clear();
}

}  // namespace finback
