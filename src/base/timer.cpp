#include "base/timer.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
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

namespace {

struct Scaled {
  double value;
  int thousands;
  const char* unit() const {
    static const char* const kUnits[] = {"", " k", " M", " G", " T", " P", " E"};
    return kUnits[thousands];
  }
};
Scaled scaled(double value) {
  int thousands = 0;
  while (std::abs(value) >= 1000 && thousands < 6) value /= 1000, ++thousands;
  return {value, thousands};
}

}  // namespace

std::string human_count(double value) {
  const Scaled s = scaled(value);
  const int digits = s.thousands == 0 && s.value == std::floor(s.value) ? 0 : std::abs(s.value) < 10 ? 2 : 1;
  return fmt::format("{:.{}f}{}", s.value, digits, s.unit());
}

std::string human_figure(double value) {
  const double rounded = std::strtod(fmt::format("{:.3e}", value).c_str(), nullptr);  // to four digits, then to a unit
  const Scaled s = scaled(std::abs(rounded) < 1e4 ? 0 : rounded);
  return s.thousands == 0 ? fmt::format("{:.4g}", rounded) : fmt::format("{:.4g}{}", s.value, s.unit());
}

std::string human_bytes(double bytes) {
  static const char* const kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  int unit = 0;
  while (std::abs(bytes) >= 1024 && unit < 5) bytes /= 1024, ++unit;
  return fmt::format("{:.{}f} {}", bytes, unit == 0 ? 0 : 1, kUnits[unit]);
}

}  // namespace finback
