#include "train/run_log.h"

#include "base/status_line.h"
#include "base/timer.h"

namespace finback {

void RunLog::open(const std::filesystem::path& path) {
  file_.open(path, std::ios::app);
  for (const std::string& text : waiting_) file_ << text;
  file_.flush();
  waiting_.clear();
}

void RunLog::line(const std::string& text) {
  const std::string stamped = utc_now() + "  " + text + "\n";
  if (!file_.is_open()) {
    waiting_.push_back(stamped);
    return;
  }
  file_.clear();  // a disk that was full may have room again
  file_ << stamped << std::flush;
}

void RunLog::say(const std::string& text) {
  warn(text);
  line(text);
}

}  // namespace finback
