#include "machine/free_memory.h"

#include <sys/resource.h>

#include <cstdlib>
#include <fstream>
#include <optional>

namespace finback {
namespace fs = std::filesystem;
namespace {

// The number behind `key` in a file of lines "Key:   123 kB" or "key 123"; without a key, the file's only number. Nothing for "max".
std::optional<double> number_in(const fs::path& path, const std::string& key = "") {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(key)) continue;
    const size_t digit = line.find_first_of("0123456789", key.size());
    if (digit == std::string::npos) return std::nullopt;
    const double value = std::strtod(line.c_str() + digit, nullptr);
    return line.ends_with(" kB") ? 1024 * value : value;
  }
  return std::nullopt;
}

// The paths of this process's control groups: of version 2, and of version 1's memory controller.
std::string group_path(const fs::path& proc, bool version2) {
  std::ifstream file(proc / "self" / "cgroup");
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    if (version2 ? line.starts_with("0::") : controllers.find(",memory,") != std::string::npos) return line.substr(second + 1);
  }
  return "";
}

// Calls with the group's folder and all above it: a limit holds for everything below. Inside a container the path may be one of the host.
template <class F>
void for_each_group(const fs::path& mount, const std::string& path, F&& call) {
  for (fs::path below = fs::path(path).relative_path();; below = below.parent_path()) {
    call(mount / below);
    if (below.empty()) return;
  }
}

}  // namespace

FreeMemory free_memory(const fs::path& proc, const fs::path& cgroups) {
  FreeMemory least{1e300, "this machine's free memory"};
  const double own = number_in(proc / "self" / "status", "VmRSS:").value_or(0);
  const auto limit = [&](double bytes, const char* what) {
    if (bytes < least.bytes) least = {bytes, what};
  };
  if (const auto available = number_in(proc / "meminfo", "MemAvailable:")) limit(*available + own, "this machine's free memory");
  const auto group = [&](const fs::path& folder, const char* most, const char* used, const char* cache) {
    const auto bytes = number_in(folder / most), now = number_in(folder / used);
    if (!bytes || !now) return;
    limit(*bytes - *now + number_in(folder / "memory.stat", cache).value_or(0) + own, "the memory limit of this control group");
  };
  if (const std::string path = group_path(proc, true); !path.empty())
    for_each_group(cgroups, path, [&](const fs::path& folder) { group(folder, "memory.max", "memory.current", "inactive_file "); });
  if (const std::string path = group_path(proc, false); !path.empty())
    for_each_group(cgroups / "memory", path, [&](const fs::path& folder) {
      group(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file ");
    });
  const auto ulimit = [&](auto resource, const char* counted, const char* what) {
    rlimit most{};
    if (::getrlimit(resource, &most) != 0 || most.rlim_cur == RLIM_INFINITY) return;
    limit(double(most.rlim_cur) - number_in(proc / "self" / "status", counted).value_or(0) + own, what);
  };
  ulimit(RLIMIT_AS, "VmSize:", "ulimit -v");
  ulimit(RLIMIT_DATA, "VmData:", "ulimit -d");
  return least;
}

}  // namespace finback
