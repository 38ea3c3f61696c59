#include "train/energy_counter.h"

#include <fstream>
#include <string>

namespace finback {
namespace fs = std::filesystem;
namespace {

std::optional<int64_t> number_in(const fs::path& path) {
  int64_t value = 0;
  std::ifstream file(path);
  if (file >> value) return value;
  return std::nullopt;
}

}  // namespace

EnergyCounter::EnergyCounter(const fs::path& powercap) {
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(powercap, ignored)) {
    // intel-rapl:0 is a package (AMD's are named so too), intel-rapl:0:0 a part of it.
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("intel-rapl:") || name.find(':', 11) != std::string::npos) continue;
    const std::optional<int64_t> now = number_in(entry.path() / "energy_uj"), range = number_in(entry.path() / "max_energy_range_uj");
    if (now && range && *range > 0) packages_.push_back({entry.path() / "energy_uj", *now, *range});
  }
}

void EnergyCounter::poll() {
  for (Package& package : packages_) {
    const std::optional<int64_t> now = number_in(package.file);
    if (!now) continue;
    sum_uj_ += *now - package.last_uj + (*now < package.last_uj ? package.range_uj : 0);
    package.last_uj = *now;
  }
}

std::optional<double> EnergyCounter::joules() {
  if (packages_.empty()) return std::nullopt;
  poll();
  return double(sum_uj_) * 1e-6;
}

}  // namespace finback
