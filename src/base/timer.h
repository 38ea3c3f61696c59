// Wall-clock time: a stopwatch, and dates for files. Nothing here may decide a result.
#pragma once
#include <chrono>
#include <string>

namespace finback {

class Timer {
 public:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
  void restart() { start_ = Clock::now(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
};

// "2026-11-24T16:05:09Z" and seconds since 1970.
std::string utc_now();
double unix_seconds();
// "43 s", "12 min", "3 h 05 min".
std::string human_duration(double seconds);
// "1.23 M", "45.6 k"; binary = 1024-based with "KiB", "MiB".
std::string human_count(double value);
// Four digits that count: "0.8155", "5.576 M", "123.4 M".
std::string human_figure(double value);
std::string human_bytes(double bytes);

}  // namespace finback
