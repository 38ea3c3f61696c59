#include "base/progress.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <utility>

#include "base/status_line.h"

namespace finback {
namespace {

constexpr double kSilentSeconds = 2, kTerminalSeconds = 0.2, kPlainSeconds = 8;

std::atomic<Progress*> newest{nullptr};

// Signals are for the thread that works: a handler there ends a wait, one here would end none.
std::thread start_without_signals(const auto& body) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread(body);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

}  // namespace

std::vector<LinePart> progress_parts(const ProgressState& s, bool last) {
  std::vector<LinePart> parts = {{s.what + (s.unit.empty() ? "" : ":"), 1, 12}};
  if (!s.unit.empty()) {
    const bool known = s.total > 0;
    parts.push_back({human_count(s.done) + (known ? " of " + human_count(s.total) : "") + " " + s.unit, known ? 3 : 0});
    if (known) parts.push_back({fmt::format("{:.0f} %", std::floor(100 * std::min(1.0, s.done / s.total))), 0});
    if (s.rate > 0) parts.push_back({human_count(s.rate) + " " + s.unit + "/s", 4});
  }
  if (last) {
    parts.push_back({"took " + human_duration(s.seconds), 2});
  } else if (!s.unit.empty() && s.total > 0 && std::isfinite(s.seconds_left)) {
    parts.push_back({human_duration(s.seconds_left) + " left", 2});
  } else {
    parts.push_back({human_duration(s.seconds), 2});
  }
  if (!s.note.empty()) parts.push_back({s.note, 5});
  return parts;
}

Progress::Progress(std::string what, double total, std::string unit) : terminal_(stderr_is_terminal()) {
  state_.what = std::move(what);
  state_.total = total;
  state_.unit = std::move(unit);
  outer_ = newest.exchange(this);
  if (!quiet()) ticker_ = start_without_signals([this] { run(); });
}

Progress::~Progress() {
  stop();
  if (shown_) end_status();
}

void Progress::update(double done, const std::string& note) {
  const std::lock_guard lock(mutex_);
  const double now = timer_.seconds();
  pace_.advance(done - state_.done, now - updated_at_);
  state_.done = done;
  state_.note = note;
  updated_at_ = now;
}

void Progress::finish(const std::string& note) {
  stop();
  ProgressState end = state();
  end.note = note;
  end.rate = end.done / end.seconds;
  if (shown_ || end.seconds > kSilentSeconds) show_status(progress_parts(end, true), true);
  shown_ = false;
}

void Progress::vanish() {
  stop();
  if (shown_) erase_status();
  shown_ = false;
}

ProgressState Progress::state() const {
  ProgressState state = state_;
  state.seconds = timer_.seconds();
  state.rate = pace_.rate();
  state.seconds_left = std::max(0.0, pace_.seconds_left(state.total - state.done) - (state.seconds - updated_at_));
  return state;
}

// The ticker: prints until the work ends.
void Progress::run() {
  std::unique_lock lock(mutex_);
  const auto pause = [&](double seconds) { wake_.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return stopping_; }); };
  for (pause(kSilentSeconds); !stopping_; pause(terminal_ ? kTerminalSeconds : kPlainSeconds)) {
    if (newest != this) continue;
    shown_ = true;
    show_status(progress_parts(state(), false), false);
  }
}

void Progress::stop() {
  if (newest == this) newest = outer_;
  if (!ticker_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  ticker_.join();
}

}  // namespace finback
