#include "base/status_line.h"

#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <mutex>

#include "base/program_name.h"

namespace finback {
namespace {

std::atomic<bool> is_quiet{false};
std::mutex terminal_mutex;
bool open = false;  // a status line without its newline

// A message that cannot be written is lost; the work that it speaks of is not. (fmt::print throws.)
void put(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

void write_line(const std::string& text) {
  const std::lock_guard lock(terminal_mutex);
  std::fflush(stdout);  // what was reported before comes before
  put((open ? "\r\033[K" : "") + as_typed(text) + "\n");
  open = false;
}

void close_status(const char* ending) {
  const std::lock_guard lock(terminal_mutex);
  if (!open) return;
  put(ending);
  open = false;
}

}  // namespace

void set_quiet(bool quiet) { is_quiet = quiet; }
bool quiet() { return is_quiet; }
bool stderr_is_terminal() { return is_terminal(STDERR_FILENO); }

void show_status(const std::vector<LinePart>& parts, bool last) {
  if (quiet()) return;
  const bool terminal = stderr_is_terminal();
  // A line that fills the last column may wrap, and could not be rewritten.
  const std::string line = fit_line(parts, terminal ? terminal_columns(STDERR_FILENO) - 1 : 100000);
  const std::lock_guard lock(terminal_mutex);
  put((terminal ? "\r\033[K" : "") + line + (terminal && !last ? "" : "\n"));
  open = terminal && !last;
}

void end_status() { close_status("\n"); }
void erase_status() { close_status("\r\033[K"); }

void inform(const std::string& text) {
  if (!quiet()) write_line(text);
}
void warn(const std::string& text) { write_line(text); }

}  // namespace finback
