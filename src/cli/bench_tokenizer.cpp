#include "cli/bench_tokenizer.h"

#include <algorithm>
#include <atomic>
#include <ctime>
#include <numeric>
#include <thread>

#include "base/pool.h"
#include "base/progress.h"
#include "base/timer.h"

namespace finback {
namespace {

constexpr int kBenchRepeats = 3;  // after one that warms up

// Median rates of some work on so many bytes: MB/s, and MB for each CPU second of all threads (what a busy machine changes least). The work is given
// a function that takes the bytes that are done, from this thread.
template <class Work>
Json median_rates(const char* what, double bytes, const Work& work) {
  const double megabytes = bytes / 1e6;
  Progress progress(what, (kBenchRepeats + 1) * megabytes, "MB");
  progress.update(0);  // what comes before the first call is not part of the rate
  std::vector<double> wall, cpu;
  for (int i = 0; i <= kBenchRepeats; ++i) {
    Timer timer;
    const std::clock_t start = std::clock();
    work([&](size_t done) { progress.update(i * megabytes + double(done) / 1e6); });
    progress.update((i + 1) * megabytes);
    if (i == 0) continue;
    wall.push_back(bytes / 1e6 / timer.seconds());
    cpu.push_back(bytes / 1e6 * CLOCKS_PER_SEC / double(std::max<std::clock_t>(1, std::clock() - start)));
  }
  progress.vanish();
  std::sort(wall.begin(), wall.end());
  std::sort(cpu.begin(), cpu.end());
  return {{"mb_s", wall[wall.size() / 2]}, {"mb_per_cpu_s", cpu[cpu.size() / 2]}};
}

}  // namespace

Json bench_tokenizer(const Tokenizer& tokenizer, const std::vector<std::string>& texts) {
  const std::string whole = std::accumulate(texts.begin(), texts.end(), std::string());
  const double bytes = double(whole.size());
  std::vector<std::vector<int32_t>> ids(texts.size());
  std::vector<std::string> decoded(texts.size());
  const auto each = [&](const auto& on_progress, const auto& work) {
    std::atomic<size_t> done = 0;
    const std::thread::id caller = std::this_thread::get_id();
    parallel_ranges(int64_t(texts.size()), 8, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        work(size_t(i));
        done += texts[size_t(i)].size();
      }
      if (std::this_thread::get_id() == caller) on_progress(done.load());
    });
  };
  const Json encode = median_rates("timing encoding", bytes, [&](const auto& on_progress) {
    each(on_progress, [&](size_t i) { ids[i] = tokenizer.encode(texts[i]); });
  });
  const Json one_text = median_rates("timing encoding as one text", bytes,
                                     [&](const auto& on_progress) { tokenizer.encode(whole, {.on_progress = on_progress}); });
  const Json decode = median_rates("timing decoding", bytes, [&](const auto& on_progress) {
    each(on_progress, [&](size_t i) { decoded[i] = tokenizer.decode(ids[i]); });
  });
  size_t tokens = 0;
  for (const auto& list : ids) tokens += list.size();
  return {{"threads", threads()},           {"documents", texts.size()}, {"mb", bytes / 1e6},           {"tokens", tokens},
          {"round_trip", decoded == texts}, {"encode", encode},          {"encode_one_text", one_text}, {"decode", decode}};
}

}  // namespace finback
