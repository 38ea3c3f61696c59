#include "train/stop_signal.h"

#include <fcntl.h>
#include <signal.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>

namespace finback {
namespace {

constexpr std::array<int, 3> kStopping = {SIGINT, SIGTERM, SIGHUP};
constexpr int64_t kSameWishMs = 1000;

std::atomic<int> first_signal{0};
std::atomic<int64_t> first_ms{0};
std::atomic<const char*> next{nullptr};
std::atomic<bool> on_terminal{false};
void (*pipe_before)(int) = SIG_DFL;
static_assert(std::atomic<const char*>::is_always_lock_free && std::atomic<int64_t>::is_always_lock_free, "touched by a signal handler");

// Everything below the line of dashes is called by the signal handler: async-signal-safe functions only.
// ---------------------------------------------------------------------------------------------------

int64_t now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

// Where the terminal is gone, writing fails; what is left of the run shall not stumble over that.
void let_go_of_the_terminal() {
  for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) {
    termios ignored{};
    if (::tcgetattr(fd, &ignored) != 0 && errno != EIO) continue;  // a file or a pipe
    const int null = ::open("/dev/null", O_WRONLY);
    if (null >= 0) ::dup2(null, fd), ::close(null);
  }
}

void say_what_happens_next() {
  const char* text = next;
  if (!text) return;
  const auto put = [](const char* bytes) { [[maybe_unused]] const ssize_t ignored = ::write(STDERR_FILENO, bytes, std::strlen(bytes)); };
  if (on_terminal) put("\n");  // the status line and the terminal's own ^C stay as they are
  put("stopping: "), put(text), put("\n");
}

void ask_stop(int number) {
  const int saved_errno = errno;
  int none = 0;
  if (first_signal.compare_exchange_strong(none, number)) {
    first_ms = now_ms();
    if (number == SIGHUP) let_go_of_the_terminal();
    say_what_happens_next();
  } else if (number == first_signal || now_ms() - first_ms > kSameWishMs) {
    ::signal(number, SIG_DFL);
    ::raise(number);  // delivered when this function returns
  }
  errno = saved_errno;
}

}  // namespace

StopSignal::StopSignal() {
  first_signal = 0, first_ms = 0, next = nullptr;
  on_terminal = ::isatty(STDERR_FILENO) == 1;
  struct sigaction action {};
  action.sa_handler = ask_stop;
  action.sa_flags = SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  for (const int number : kStopping) {
    struct sigaction before {};
    ::sigaction(number, nullptr, &before);
    if (number == SIGHUP && before.sa_handler == SIG_IGN) continue;  // nohup
    ::sigaction(number, &action, nullptr);
  }
  pipe_before = ::signal(SIGPIPE, SIG_IGN);
}

StopSignal::~StopSignal() {
  for (const int number : kStopping) {
    struct sigaction now {};
    ::sigaction(number, nullptr, &now);
    if (now.sa_handler == ask_stop) ::signal(number, SIG_DFL);
  }
  ::signal(SIGPIPE, pipe_before);
}

bool StopSignal::asked() const { return first_signal != 0; }

int StopSignal::number() const { return first_signal; }

void StopSignal::announce(const char* what_happens_next) const { next = what_happens_next; }

}  // namespace finback
