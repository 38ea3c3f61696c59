#include "machine/machine_probe.h"

#include <fmt/ranges.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <utility>

#include "base/error.h"
#include "base/pool.h"
#include "base/timer.h"
#include "machine/free_memory.h"
#include "machine/machine_probe_cpu.h"

namespace finback {
namespace {

constexpr size_t kReadStep = 256;               // floats: what ProbeLoops::read asks for
constexpr size_t kReadChunk = size_t{1} << 18;  // floats a chunk of reading

double seconds_of(const std::function<void()>& call) {
  const Timer timer;
  call();
  return timer.seconds();
}

std::string processor_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

// What is read again has to come from memory. Where caches cannot be flushed that takes several times the last one as the processor tells it (a
// virtual machine's may be larger), and the system's zeroing of a GiB takes longer than all the rest of a start.
size_t stream_bytes() {
  constexpr size_t kLeast = size_t{256} << 20;
  const size_t cache = size_t(std::max(sysconf(_SC_LEVEL3_CACHE_SIZE), 0L));
  const size_t wanted = can_flush_caches() ? kLeast : std::clamp(4 * cache, kLeast, size_t{1} << 30);
  // A probe must not be what ends a process in a small container.
  return std::min(wanted, std::max(size_t{16} << 20, size_t(free_memory().bytes / 4)));
}

// Best of three passes over `blocks`, after `before` each.
double best_read_gb_per_s(std::span<const std::span<const float>> blocks, const std::function<void()>& before) {
  std::vector<std::span<const float>> chunks;
  size_t count = 0;
  for (const std::span<const float>& block : blocks) {
    const size_t whole = block.size() / kReadStep * kReadStep;
    for (size_t at = 0; at < whole; at += kReadChunk) chunks.push_back(block.subspan(at, std::min<size_t>(kReadChunk, whole - at)));
    count += whole;
  }
  double best = 1e30;
  for (int run = 0; run < 3; ++run) {
    before();
    best = std::min(best, seconds_of([&] {
                      parallel_for(int64_t(chunks.size()),
                                   [&](int64_t i) { probe_loops().read(chunks[size_t(i)].data(), int64_t(chunks[size_t(i)].size())); });
                    }));
  }
  return double(count) * sizeof(float) / best / 1e9;
}

// Memory that is mapped for the probe alone: returned to the system at once, so it does not stay in the process.
double stream_gb_per_s() {
  constexpr int64_t kPage = 1024;  // floats of 4 KiB
  const size_t bytes = stream_bytes(), count = bytes / sizeof(float);
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  FB_CHECK(memory != MAP_FAILED, "expected {} MiB of free memory to measure its bandwidth", bytes >> 20);
  madvise(memory, bytes, MADV_HUGEPAGE);  // a refusal costs page faults, nothing else
  float* const floats = static_cast<float*>(memory);
  parallel_ranges(int64_t(count), int64_t(kReadChunk), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += kPage) floats[i] = 1.0f;  // pages never written are one page of zeros, in the cache
  });
  const std::span<const float> block(floats, count);
  const double rate = best_read_gb_per_s({&block, 1}, [&] {
    if (!can_flush_caches()) return;
    parallel_ranges(int64_t(count), int64_t(kReadChunk),
                    [&](int64_t begin, int64_t end) { flush_caches(floats + begin, size_t(end - begin) * sizeof(float)); });
  });
  munmap(memory, bytes);
  return rate;
}

}  // namespace

// Best of several runs of a few ms: a neighbour slows some of them, not all. The loops are called through pointers chosen at run time, so no
// compiler can drop a call for its unused result; a variable that all threads wrote would be a data race.
double measure_fma_gflops() {
  const ProbeLoops& loops = probe_loops();
  constexpr int64_t kRounds = 500'000;
  double best = 1e30;
  for (int run = 0; run < 10; ++run) {
    best = std::min(best, seconds_of([&] { parallel_for(threads(), [&](int64_t) { loops.fma(kRounds); }); }));
  }
  return double(threads()) * double(kRounds) * double(loops.flops_a_round) / best / 1e9;
}

double read_gb_per_s(std::span<const std::span<const float>> blocks) {
  return best_read_gb_per_s(blocks, [] {});
}

MachineProbe measure_machine(std::string kernels, std::string device) {
  MachineProbe probe;
  probe.processor = processor_name();
  probe.kernels = std::move(kernels), probe.device = std::move(device);
  probe.threads = threads();
  if (probe.device != "cpu") return probe;
  probe.fma_peak_gflops = measure_fma_gflops();
  probe.stream_gb_per_s = stream_gb_per_s();
  return probe;
}

std::string arithmetic_label(const MachineProbe& probe) {
  if (probe.device != "cpu") return "torch's ops on " + probe.device;
  if (probe.row_dependent.empty()) return "exact";
  return fmt::format("approximate (rows depend on their batch in {})", fmt::join(probe.row_dependent, ", "));
}

std::string machine_label(const MachineProbe& probe) {
  const std::string label =
      fmt::format("{}, {}, {} thread{}", probe.kernels, arithmetic_label(probe), probe.threads, probe.threads == 1 ? "" : "s");
  if (probe.fma_peak_gflops == 0) return label;
  return fmt::format("{}, {:.1f} GFLOP/s FMA, {:.1f} GB/s read", label, probe.fma_peak_gflops, probe.stream_gb_per_s);
}

}  // namespace finback
