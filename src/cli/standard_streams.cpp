#include "cli/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "base/status_line.h"
#include "base/terminal.h"

namespace finback {

namespace {

// An unreadable input is not an empty one. REQUIRES: right behind the read that ended.
void check_stdin() {
  if (std::ferror(stdin)) FB_FAIL("standard input: cannot read: {}", std::strerror(errno));
}

[[noreturn]] void fail_stdout(int reason) {
  std::clearerr(stdout);  // said once
  throw OutputError(fmt::format("standard output: cannot write: {}", reason ? std::strerror(reason) : "an earlier write failed"));
}

}  // namespace

void open_standard_streams() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // a file at the limit of ulimit -f: the write fails, with a message and no half of a file
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) != -1 || errno != EBADF) continue;
    // The lowest free number is this one. Opened the wrong way round, so that using it fails as a closed one does.
    if (::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd) return;
  }
}

void say_stdin_is_read() {
  if (is_terminal(STDIN_FILENO)) inform("reading standard input; Ctrl-D ends it");
}

std::string read_stdin(const std::function<void(size_t)>& on_progress) {
  say_stdin_is_read();
  std::string text;
  char block[1 << 16];
  while (!std::feof(stdin)) {  // a terminal that is asked again behind its end waits for another one
    text.append(block, std::fread(block, 1, sizeof(block), stdin));
    if (std::ferror(stdin)) break;
    if (on_progress) on_progress(text.size());
  }
  check_stdin();
  return text;
}

bool read_stdin_line(std::string& line) {
  line.clear();
  int c = 0;
  while ((c = ::getc_unlocked(stdin)) != EOF && c != '\n') line += char(c);
  check_stdin();
  return c != EOF || !line.empty();
}

void write_stdout(std::string_view text) {
  errno = 0;
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) fail_stdout(errno);
}

void flush_stdout() {
  errno = 0;
  if (std::fflush(stdout) != 0 || std::ferror(stdout)) fail_stdout(errno);
}

}  // namespace finback
