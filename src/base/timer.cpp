#include "base/timer.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cmath>
#include <ctime>

namespace finback {

std::string utc_now() { return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr))); }

double unix_seconds() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

std::string human_duration(double seconds) {
  if (!(seconds < 1e9)) return "?";
  if (seconds < 90) return fmt::format("{:.0f} s", seconds);
  const long minutes = std::lround(seconds / 60);
  if (minutes < 90) return fmt::format("{} min", minutes);
  return fmt::format("{} h {:02} min", minutes / 60, minutes % 60);
}

std::string human_count(double value) {
  static const char* const kUnits[] = {"", " k", " M", " G", " T", " P", " E"};
  int unit = 0;
  while (std::abs(value) >= 1000 && unit < 6) value /= 1000, ++unit;
  return fmt::format("{:.{}f}{}", value, unit == 0 && value == std::floor(value) ? 0 : (std::abs(value) < 10 ? 2 : 1), kUnits[unit]);
}

std::string human_bytes(double bytes) {
  static const char* const kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  int unit = 0;
  while (std::abs(bytes) >= 1024 && unit < 5) bytes /= 1024, ++unit;
  return fmt::format("{:.{}f} {}", bytes, unit == 0 ? 0 : 1, kUnits[unit]);
}

}  // namespace finback
