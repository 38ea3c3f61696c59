#include "base/pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/error.h"

namespace finback {
namespace {

constexpr int kSpins = 2000;  // about 20 us: longer than the gap between two ops of a step, shorter than a scheduler slice

// One loop in flight. Workers hold a share of it, so a late worker can look at an exhausted one safely.
struct Loop {
  const LoopBody<int64_t>* body = nullptr;
  int64_t chunks = 0;
  std::atomic<int64_t> next{0}, done{0};
  std::mutex failure_mutex;
  std::exception_ptr failure;

  bool exhausted() const { return next.load(std::memory_order_relaxed) >= chunks; }

  // Takes one chunk; false when none was left.
  bool work_once() {
    const int64_t chunk = next.fetch_add(1, std::memory_order_relaxed);
    if (chunk >= chunks) return false;
    try {
      (*body)(chunk);
    } catch (...) {
      std::lock_guard lock(failure_mutex);
      if (!failure) failure = std::current_exception();
    }
    done.fetch_add(1, std::memory_order_acq_rel);
    return true;
  }
};

thread_local bool inside_loop = false;

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Loops of several threads share the workers: a worker takes one chunk of each loop in flight in turn, so neither a long loop nor a thread that
// posts many keeps the others to their callers. A caller works on its own loop alone, so it never waits for another thread's chunk.
class Pool {
 public:
  static Pool& instance() {
    static Pool pool;
    return pool;
  }

  ~Pool() { resize(1); }

  int size() const { return int(workers_.size()) + 1; }

  void resize(int count) {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
      wake_.notify_all();
    }
    for (std::thread& worker : workers_) worker.join();
    workers_.clear();
    stop_ = false;
    for (int i = 1; i < count; ++i) workers_.emplace_back([this, i, seen = epoch_.load()] { worker_main(seen, size_t(i)); });
  }

  void run(int64_t chunks, LoopBody<int64_t> body) {
    if (chunks <= 0) return;
    if (chunks == 1 || workers_.empty() || inside_loop) {
      for (int64_t chunk = 0; chunk < chunks; ++chunk) body(chunk);
      return;
    }
    const auto loop = std::make_shared<Loop>();
    loop->body = &body;
    loop->chunks = chunks;
    {
      std::lock_guard lock(mutex_);
      std::erase_if(loops_, [](const std::shared_ptr<Loop>& other) { return other->exhausted(); });
      loops_.push_back(loop);
      epoch_.fetch_add(1, std::memory_order_release);
    }
    if (parked_.load(std::memory_order_acquire) > 0) wake_.notify_all();
    inside_loop = true;
    while (loop->work_once()) {
    }
    inside_loop = false;
    wait_done(*loop);
    if (loop->failure) std::rethrow_exception(loop->failure);
  }

 private:
  // The caller has no chunk left; workers may still hold some. A descheduled worker needs our core: yield after a short spin.
  static void wait_done(Loop& loop) {
    for (int spin = 0; loop.done.load(std::memory_order_acquire) < loop.chunks; ++spin) {
      if (spin < kSpins) {
        relax();
      } else {
        sched_yield();
      }
    }
  }

  // `turn` differs between workers, so several loops get one each from the start.
  void worker_main(uint64_t seen, size_t turn) {
    inside_loop = true;
    std::vector<std::shared_ptr<Loop>> loops;  // those in flight at epoch `seen` that may have a chunk left
    while (true) {
      if (loops.empty()) {
        for (int spin = 0; spin < kSpins && epoch_.load(std::memory_order_acquire) == seen && !stop_; ++spin) relax();
        std::unique_lock lock(mutex_);
        parked_.fetch_add(1);
        wake_.wait(lock, [&] { return stop_ || epoch_.load() != seen; });
        parked_.fetch_sub(1);
        if (stop_) return;
        seen = epoch_.load();
        loops = loops_;
      } else if (epoch_.load(std::memory_order_acquire) != seen) {
        const std::lock_guard lock(mutex_);
        seen = epoch_.load();
        loops = loops_;
      }
      if (++turn >= loops.size()) turn = 0;
      if (!loops[turn]->work_once()) loops.erase(loops.begin() + long(turn));
    }
  }

  std::vector<std::thread> workers_;
  std::mutex mutex_;  // of loops_, and of changes of epoch_ and stop_
  std::condition_variable wake_;
  std::vector<std::shared_ptr<Loop>> loops_;  // in flight; exhausted ones are dropped by the next caller
  std::atomic<uint64_t> epoch_{0};            // counts loops
  std::atomic<int> parked_{0};
  std::atomic<bool> stop_{false};
};

}  // namespace

void set_threads(int count) {
  FB_CHECK(count >= 1 && count <= 1024, "expected 1 to 1024 threads, got {}", count);
  if (count != threads()) Pool::instance().resize(count);
}

int threads() { return Pool::instance().size(); }

int available_cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return std::max(1u, std::thread::hardware_concurrency());
  return std::max(1, CPU_COUNT(&set));
}

void parallel_for(int64_t chunks, LoopBody<int64_t> body) { Pool::instance().run(chunks, body); }

void parallel_ranges(int64_t n, int64_t grain, LoopBody<int64_t, int64_t> body) {
  FB_ASSERT(grain > 0, "a range needs a positive grain");
  parallel_for((n + grain - 1) / grain, [&](int64_t chunk) { body(chunk * grain, std::min(n, (chunk + 1) * grain)); });
}

}  // namespace finback
