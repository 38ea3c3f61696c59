#include "machine/bench.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/timer.h"
#include "machine/figure.h"

namespace finback {
namespace {

constexpr double kSecondsASide = 0.25;  // long enough for a median on a busy machine
constexpr int kMaxCalls = 400;

double seconds_of(const std::function<void()>& call) {
  const Timer timer;
  call();
  return timer.seconds();
}

}  // namespace

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

}  // namespace finback
