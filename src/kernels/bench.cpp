#include "kernels/bench.h"

#include <fmt/ranges.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "base/error.h"
#include "base/pool.h"
#include "base/timer.h"
#include "kernels/machine_probe_cpu.h"
#include "kernels/row_probe.h"
#include "kernels/variant.h"

namespace finback {
namespace {

constexpr double kSecondsASide = 0.25;  // long enough for a median on a busy machine
constexpr int kMaxCalls = 400;
constexpr size_t kReadStep = 256;           // floats: what ProbeLoops::read asks for
constexpr size_t kPiece = size_t{1} << 18;  // floats a chunk of reading

double seconds_of(const std::function<void()>& call) {
  const Timer timer;
  call();
  return timer.seconds();
}

double median(std::vector<double>& values) {
  std::nth_element(values.begin(), values.begin() + long(values.size() / 2), values.end());
  return values[values.size() / 2];
}

std::string processor_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

// Best of several runs of a few ms: a neighbour slows some of them, not all. The loops are called through pointers chosen at run time, so no
// compiler can drop a call for its unused result; a variable that all threads wrote would be a data race.
double fma_peak_gflops() {
  const ProbeLoops& loops = probe_loops();
  constexpr int64_t kRounds = 500'000;
  double best = 1e30;
  for (int run = 0; run < 10; ++run) {
    best = std::min(best, seconds_of([&] { parallel_for(threads(), [&](int64_t) { loops.fma(kRounds); }); }));
  }
  return double(threads()) * double(kRounds) * double(loops.flops_a_round) / best / 1e9;
}

// What is read again has to come from memory. Where caches cannot be flushed that takes several times the last one as the processor tells it (a
// virtual machine's may be larger), and the system's zeroing of a GiB takes longer than all the rest of a start.
size_t stream_bytes() {
  constexpr size_t kLeast = size_t{256} << 20;
  const size_t cache = size_t(std::max(sysconf(_SC_LEVEL3_CACHE_SIZE), 0L));
  return can_flush_caches() ? kLeast : std::clamp(4 * cache, kLeast, size_t{1} << 30);
}

// Best of three passes over `blocks`, after `before` each.
double best_read_gb_per_s(std::span<const std::span<const float>> blocks, const std::function<void()>& before) {
  std::vector<std::span<const float>> pieces;
  size_t count = 0;
  for (const std::span<const float>& block : blocks) {
    const size_t whole = block.size() / kReadStep * kReadStep;
    for (size_t at = 0; at < whole; at += kPiece) pieces.push_back(block.subspan(at, std::min<size_t>(kPiece, whole - at)));
    count += whole;
  }
  double best = 1e30;
  for (int run = 0; run < 3; ++run) {
    before();
    best = std::min(best, seconds_of([&] {
                      parallel_for(int64_t(pieces.size()),
                                   [&](int64_t i) { probe_loops().read(pieces[size_t(i)].data(), int64_t(pieces[size_t(i)].size())); });
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
  parallel_ranges(int64_t(count), int64_t(kPiece), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += kPage) floats[i] = 1.0f;  // pages never written are one page of zeros, in the cache
  });
  const std::span<const float> block(floats, count);
  const double rate = best_read_gb_per_s({&block, 1}, [&] {
    if (!can_flush_caches()) return;
    parallel_ranges(int64_t(count), int64_t(kPiece),
                    [&](int64_t begin, int64_t end) { flush_caches(floats + begin, size_t(end - begin) * sizeof(float)); });
  });
  munmap(memory, bytes);
  return rate;
}

}  // namespace

double read_gb_per_s(std::span<const std::span<const float>> blocks) {
  return best_read_gb_per_s(blocks, [] {});
}

void Bench::row(const std::string& name, double flops, double bytes, const std::function<void()>& fast, const std::function<void()>& ref) {
  fast();  // warm-up: page faults, packing buffers
  if (ref) ref();
  std::vector<double> fast_seconds, ref_seconds;
  for (double spent = 0; spent < kSecondsASide && fast_seconds.size() < kMaxCalls;) {
    fast_seconds.push_back(seconds_of(fast));
    spent += fast_seconds.back();
    if (ref && ref_seconds.size() < 15) ref_seconds.push_back(seconds_of(ref));
  }
  const double seconds = median(fast_seconds);
  Json row = {{"name", name}, {"seconds", seconds}, {"seconds_min", *std::min_element(fast_seconds.begin(), fast_seconds.end())}};
  std::string rate = "-";
  if (flops > 0) {
    const double gflops = flops / seconds / 1e9;
    row["gflops"] = gflops;
    row["share_of_peak"] = gflops / fma_peak_;
    rate = fmt::format("{:7.1f} GFLOP/s ({:3.0f} %)", gflops, 100 * gflops / fma_peak_);
  } else if (bytes > 0) {
    const double gb_per_s = bytes / seconds / 1e9;
    row["gb_per_s"] = gb_per_s;
    row["share_of_stream"] = gb_per_s / stream_;
    rate = fmt::format("{:7.1f} GB/s    ({:3.0f} %)", gb_per_s, 100 * gb_per_s / stream_);
  }
  std::string ratio = "-";
  if (ref) {
    row["x_ref"] = median(ref_seconds) / seconds;
    ratio = fmt::format("{:.1f} x ref", row["x_ref"].get<double>());
  }
  fmt::print(out_, "{:<44} {:9.1f} us | {} | {}\n", name, seconds * 1e6, rate, ratio);
  results_.push_back(row);
}

MachineProbe probe_machine() {
  MachineProbe probe;
  probe.processor = processor_name();
  probe.kernels = kernel_label();
  probe.threads = threads();
  probe.fma_peak_gflops = fma_peak_gflops();
  probe.stream_gb_per_s = stream_gb_per_s();
  probe.row_dependent = row_dependent_ops();
  return probe;
}

std::string arithmetic_label(const MachineProbe& probe) {
  if (probe.row_dependent.empty()) return "exact";
  return fmt::format("approximate (rows depend on their batch in {})", fmt::join(probe.row_dependent, ", "));
}

std::string machine_label(const MachineProbe& probe) {
  return fmt::format("{}, {}, {} thread{}, {:.1f} GFLOP/s FMA, {:.1f} GB/s read", probe.kernels, arithmetic_label(probe), probe.threads,
                     probe.threads == 1 ? "" : "s", probe.fma_peak_gflops, probe.stream_gb_per_s);
}

}  // namespace finback
