// What this machine is and how fast it multiplies and reads: the limits that figures are shares of, and the line that run files carry. Measured in this
// process, never looked up. Knows no op and no tensors.
#pragma once
#include <span>
#include <string>
#include <vector>

namespace finback {

// What this machine is and does. What concerns the ops is the caller's to say: model/row_probe.h fills all of it.
struct MachineProbe {
  std::string processor, kernels;  // model name; kernel label
  std::string device = "cpu";      // where the ops run; elsewhere than on the CPU there are no limits
  int threads = 1;
  double fma_peak_gflops = 0;              // f32 FMA in registers; 0: none known
  double stream_gb_per_s = 0;              // reading memory far beyond the caches; 0: none known
  std::vector<std::string> row_dependent;  // ops whose rows depend on their batch; none: exact
};
// Everything but row_dependent, at the current thread count and instruction set: limits are the best of several short runs, a tenth of a second in all.
// They are the CPU's: on another device none is measured.
MachineProbe measure_machine(std::string kernels, std::string device = "cpu");
// The f32 FMA limit alone, best of several runs, some 30 ms. Of one moment: a neighbour slows it, so the highest of several moments is the peak.
double measure_fma_gflops();
// Reading `blocks` from first to last in chunks that threads share, best of three passes. On a virtual machine the rate depends on how the host
// backs the very pages (36 to 62 GB/s seen within a minute), so a share needs the rate of the memory that is used.
double read_gb_per_s(std::span<const std::span<const float>> blocks);
// "exact", or what is approximate; on another device than the CPU, which no bits are promised on: whose arithmetic it is.
std::string arithmetic_label(const MachineProbe& probe);
// One line for run files: kernels, arithmetic, threads, both limits where there are some.
std::string machine_label(const MachineProbe& probe);

}  // namespace finback
