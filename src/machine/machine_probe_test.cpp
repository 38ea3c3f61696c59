#include "machine/machine_probe.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <vector>

namespace finback {
namespace {

TEST(MachineLabel, SaysInstructionsArithmeticAndSpeeds) {
  MachineProbe probe;
  probe.kernels = "avx2", probe.threads = 2, probe.fma_peak_gflops = 123.44, probe.stream_gb_per_s = 21.96;
  EXPECT_EQ(machine_label(probe), "avx2, exact, 2 threads, 123.4 GFLOP/s FMA, 22.0 GB/s read");
  probe.row_dependent = {"linear", "route"};
  EXPECT_EQ(machine_label(probe),
            "avx2, approximate (rows depend on their batch in linear, route), 2 threads, 123.4 GFLOP/s FMA, 22.0 GB/s read");
}

// Neither a variant of the CPU nor "exact": nothing of the CPU's ops ran.
TEST(MachineLabel, OfAGpuIsTheSameBesideEveryProcessor) {
  const MachineProbe probe = measure_machine("ref", "cuda");
  EXPECT_EQ(arithmetic_label(probe), "torch's ops on cuda");
  EXPECT_EQ(machine_label(probe), fmt::format("ref, torch's ops on cuda, {} thread{}", probe.threads, probe.threads == 1 ? "" : "s"));
  EXPECT_EQ(probe.fma_peak_gflops, 0);
}

TEST(MachineProbe, LeavesWhatConcernsOpsToTheCaller) {
  const MachineProbe probe = measure_machine("avx2");
  EXPECT_EQ(probe.kernels, "avx2");
  EXPECT_EQ(probe.row_dependent, std::vector<std::string>());
  EXPECT_GT(probe.fma_peak_gflops, 0.1);
  EXPECT_GT(probe.stream_gb_per_s, 0.01);
}

TEST(ReadRate, IsMeasuredOnTheMemoryGiven) {
  const std::vector<float> memory(size_t{1} << 20, 1.0f);
  const std::span<const float> block = memory;
  EXPECT_GT(read_gb_per_s({&block, 1}), 0.01);
}

}  // namespace
}  // namespace finback
