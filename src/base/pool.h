// The one thread pool. All parallelism of the program runs here; ATen and MKL stay on one thread.
// Chunks are handed out dynamically (an atomic counter), waiting threads spin briefly and then park, so a busy neighbour on one core costs
// its share and no more. How work is cut into chunks must never depend on the thread count: then neither do the bits.
#pragma once
#include <cstdint>

namespace finback {

// Threads that parallel_for uses, the calling one included. Not to be called while work runs. Default: 1 until set.
void set_threads(int count);
int threads();
// Cores this process may run on (affinity respected).
int available_cores();

// What a loop calls, where it lies: a std::function of a lambda with captures would allocate, thousands of times a second in decoding.
template <class... Arguments>
class LoopBody {
 public:
  template <class F>
  LoopBody(const F& body) : body_(&body), call_([](const void* f, Arguments... arguments) { (*static_cast<const F*>(f))(arguments...); }) {}
  void operator()(Arguments... arguments) const { call_(body_, arguments...); }

 private:
  const void* body_;
  void (*call_)(const void*, Arguments...);
};

// Calls body(chunk) once for every chunk in [0, chunks), in any order, on any thread; returns when all are done. The first exception
// of a body is rethrown here when no chunk is running any more; chunks not yet begun may be left out. Several threads may call at once: a worker takes one chunk of each loop in turn, a caller works on its own. A nested call runs inline.
void parallel_for(int64_t chunks, LoopBody<int64_t> body);
// Cuts [0, n) into pieces of `grain` (the last may be shorter): body(begin, end).
void parallel_ranges(int64_t n, int64_t grain, LoopBody<int64_t, int64_t> body);

}  // namespace finback
