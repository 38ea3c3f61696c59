#include "base/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

namespace finback {

bool stderr_is_terminal() { return ::isatty(STDERR_FILENO) == 1; }

// Not fmt::print, which throws: work goes on when whoever reads its progress is gone.
void status_line(const std::string& text, bool last) {
  if (stderr_is_terminal()) {
    std::fputs(("\r\033[K" + text + (last ? "\n" : "")).c_str(), stderr);
  } else {
    std::fputs((text + "\n").c_str(), stderr);
  }
  std::fflush(stderr);
}

Progress::Progress(std::string what, double total, std::string unit)
    : what_(std::move(what)), unit_(std::move(unit)), total_(total), terminal_(stderr_is_terminal()) {}

Progress::~Progress() {
  if (shown_ && !finished_ && terminal_) std::fputs("\n", stderr);
}

void Progress::update(double done, const std::string& note) {
  done_ = done;
  const double now = timer_.seconds();
  if (now < 2 || now - printed_at_ < (terminal_ ? 0.2 : 10)) return;
  printed_at_ = now;
  print(done, note, false);
}

void Progress::finish(const std::string& note) {
  finished_ = true;
  if (shown_ || timer_.seconds() > 2) print(done_, note, true);
}

void Progress::print(double done, const std::string& note, bool last) {
  shown_ = true;
  const double seconds = timer_.seconds(), rate = done / seconds;
  std::string line = what_ + ": " + human_count(done);
  if (total_ > 0) line += fmt::format(" of {} ({:.0f} %)", human_count(total_), 100 * done / total_);
  line += fmt::format(" {}, {} {}/s", unit_, human_count(rate), unit_);
  if (last) {
    line += ", took " + human_duration(seconds);
  } else if (total_ > 0 && rate > 0) {
    line += ", " + human_duration((total_ - done) / rate) + " left";
  }
  status_line(note.empty() ? line : line + ", " + note, last);
}

}  // namespace finback
