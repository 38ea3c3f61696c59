#include "data/child_program.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/error.h"

extern char** environ;

namespace finback {
namespace {

constexpr size_t kMostOutput = size_t(1) << 16;

// Reads until the child closes its end.
void collect(int fd, std::string& output, const std::function<void()>& on_wait) {
  char buffer[4096];
  while (true) {
    pollfd waiting{fd, POLLIN, 0};
    const int ready = ::poll(&waiting, 1, 200);
    if (on_wait) on_wait();
    if (ready <= 0) continue;
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    output.append(buffer, size_t(n));
    if (output.size() > kMostOutput) output.erase(0, output.size() - kMostOutput);
  }
}

}  // namespace

std::string ChildResult::last_line() const {
  const size_t end = output.find_last_not_of(" \n\r\t");
  if (end == std::string::npos) return "no message";
  const size_t newline = output.rfind('\n', end);
  return output.substr(newline == std::string::npos ? 0 : newline + 1, newline == std::string::npos ? end + 1 : end - newline);
}

ChildResult run_program(const std::vector<std::string>& words, const std::filesystem::path& folder, const std::function<void()>& on_wait) {
  FB_ASSERT(!words.empty(), "a program to run");
  int ends[2];
  FB_CHECK(::pipe2(ends, O_CLOEXEC) == 0, "cannot make a pipe to {}: {}", words[0], std::strerror(errno));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  pid_t child = 0;
  // A closed pipe is no signal to this program (cli/standard_streams.h); to others it is.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  const int error = ::posix_spawnp(&child, words[0].c_str(), &actions, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  ChildResult result;
  if (error != 0) {
    ::close(ends[0]);
    FB_CHECK(error == ENOENT, "cannot start {} in {}: {}", words[0], folder.string(), std::strerror(error));
    result.found = false;
    return result;
  }
  collect(ends[0], result.output, on_wait);
  ::close(ends[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace finback
