#include "machine/free_memory.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>

namespace finback {
namespace {

namespace fs = std::filesystem;

struct FreeMemoryOf : testing::Test {
  fs::path root = fs::temp_directory_path() / ("finback-free-" + std::to_string(::getpid()));
  void SetUp() override {
    put("proc/meminfo", "MemTotal:  9000000 kB\nMemFree: 1 kB\nMemAvailable:    4000000 kB\n");
    put("proc/self/status", "VmSize: 10 kB\nVmRSS:    1000 kB\n");
  }
  void TearDown() override { fs::remove_all(root); }
  void put(const std::string& name, const std::string& text) {
    fs::create_directories((root / name).parent_path());
    std::ofstream(root / name) << text;
  }
  FreeMemory read() const { return free_memory(root / "proc", root / "cgroup"); }
};

TEST_F(FreeMemoryOf, AMachineIsWhatIsAvailableAndWhatTheProcessHolds) { EXPECT_EQ(read().bytes, 4'001'000 * 1024.0); }

TEST_F(FreeMemoryOf, TheLimitOfAGroupCountsAndThoseAboveIt) {
  put("proc/self/cgroup", "0::/a/b\n");
  put("cgroup/a/b/memory.max", "max\n");
  put("cgroup/a/b/memory.current", "5\n");
  EXPECT_EQ(read().bytes, 4'001'000 * 1024.0);
  put("cgroup/a/memory.max", "100000000\n");
  put("cgroup/a/memory.current", "60000000\n");
  put("cgroup/a/memory.stat", "active_file 7\ninactive_file 20000000\n");
  EXPECT_EQ(read().bytes, 60'000'000 + 1000 * 1024.0);
  EXPECT_NE(read().limit.find("control group"), std::string::npos);
}

TEST_F(FreeMemoryOf, AContainersGroupLiesAtTheMount) {
  put("proc/self/cgroup", "4:cpu,memory:/host/name\n");
  put("cgroup/memory/memory.limit_in_bytes", "3000000\n");
  put("cgroup/memory/memory.usage_in_bytes", "1000000\n");
  EXPECT_EQ(read().bytes, 2'000'000 + 1000 * 1024.0);
}

TEST_F(FreeMemoryOf, UlimitCounts) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_DATA, &before), 0);
  rlimit now = before;
  now.rlim_cur = rlim_t{3} << 30;
  ASSERT_EQ(::setrlimit(RLIMIT_DATA, &now), 0);
  EXPECT_EQ(read().bytes, double(rlim_t{3} << 30) + 1000 * 1024.0);
  EXPECT_EQ(read().limit, "ulimit -d");
  ::setrlimit(RLIMIT_DATA, &before);
}

}  // namespace
}  // namespace finback
