// Joules that the machine's processors have used since this object was made, from the kernel's RAPL counters (/sys/class/powercap). They
// count whole packages: whatever else runs there is in it. Counters wrap within minutes at full load, so somebody polls.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

namespace finback {

class EnergyCounter {
 public:
  explicit EnergyCounter(const std::filesystem::path& powercap = "/sys/class/powercap");
  void poll();
  // None where the machine does not tell: virtual machines, mostly, and where only root may read.
  std::optional<double> joules();

 private:
  struct Package {
    std::filesystem::path file;
    int64_t last_uj = 0, range_uj = 0;  // range: where it wraps
  };
  std::vector<Package> packages_;
  int64_t sum_uj_ = 0;
};

}  // namespace finback
