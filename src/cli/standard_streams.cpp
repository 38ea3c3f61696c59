#include "cli/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

#include <fmt/format.h>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

namespace finback {

void open_standard_streams() {
  std::signal(SIGPIPE, SIG_IGN);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) != -1 || errno != EBADF) continue;
    // The lowest free number is this one. Opened the wrong way round, so that using it fails as a closed one does.
    if (::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd) return;
  }
}

void flush_stdout() {
  errno = 0;
  const bool failed = std::fflush(stdout) != 0 || std::ferror(stdout);
  const int reason = errno;  // 0: an earlier write failed, whose reason nobody kept
  if (!failed) return;
  std::clearerr(stdout);  // said once
  throw OutputError(fmt::format("standard output: cannot write: {}", reason ? std::strerror(reason) : "an earlier write failed"));
}

}  // namespace finback
