// How much memory this process may have before the system refuses or kills it: what the machine has to give, its control group's limit, ulimit.
#pragma once
#include <filesystem>
#include <string>

namespace finback {

struct FreeMemory {
  double bytes = 0;   // what is free, and what this process holds already
  std::string limit;  // what sets it, for people: "this machine's free memory"
};
// The least of all limits. Swap does not count: a model in swap does not run. Huge when nothing can be read. Folders: for tests.
FreeMemory free_memory(const std::filesystem::path& proc = "/proc", const std::filesystem::path& cgroups = "/sys/fs/cgroup");

}  // namespace finback
