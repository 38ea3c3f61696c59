#include "train/stop_signal.h"

#include <signal.h>

#include <atomic>

namespace finback {
namespace {

std::atomic<bool> stop_asked{false};
static_assert(std::atomic<bool>::is_always_lock_free, "touched by a signal handler");

void ask_stop(int signal_number) {
  stop_asked = true;
  ::signal(signal_number, SIG_DFL);
}

}  // namespace

StopSignal::StopSignal() {
  stop_asked = false;
  ::signal(SIGINT, ask_stop);
  ::signal(SIGTERM, ask_stop);
}

StopSignal::~StopSignal() {
  ::signal(SIGINT, SIG_DFL);
  ::signal(SIGTERM, SIG_DFL);
}

bool StopSignal::asked() const { return stop_asked; }

}  // namespace finback
