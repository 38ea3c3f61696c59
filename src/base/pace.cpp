#include "base/pace.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace finback {
namespace {

constexpr double kMemorySeconds = 60;  // the past fades over a minute, later over a third of the time so far

}  // namespace

void Pace::advance(double work, double seconds) {
  if (!begun_) {
    begun_ = true;
    first_work_ = work;
    first_seconds_ = seconds;
    return;
  }
  all_seconds_ += seconds;
  const double fade = std::exp(-seconds / std::max(kMemorySeconds, all_seconds_ / 3));
  work_ = work_ * fade + work;
  seconds_ = seconds_ * fade + seconds;
}

void Pace::pause(double seconds) {
  if (begun_) paused_ += seconds;
}

double Pace::rate() const {
  if (work_ > 0 && seconds_ > 0) return work_ / seconds_;
  return first_work_ > 0 && first_seconds_ > 0 ? first_work_ / first_seconds_ : 0;
}

double Pace::seconds_left(double work_left) const {
  if (work_left <= 0) return 0;
  if (!(work_ > 0 && seconds_ > 0)) return std::numeric_limits<double>::infinity();
  return work_left / rate() * (1 + paused_ / (all_seconds_ + first_seconds_));
}

}  // namespace finback
