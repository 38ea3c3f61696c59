// The one thread pool. All parallelism of the program runs here; ATen and MKL stay on one thread.
// Chunks are handed out dynamically (an atomic counter), waiting threads spin briefly and then park, so a busy neighbour on one core costs
// its share and no more. How work is cut into chunks must never depend on the thread count: then neither do the bits.
#pragma once
#include <cstdint>
#include <functional>

namespace finback {

// Threads that parallel_for uses, the calling one included. Not to be called while work runs. Default: 1 until set.
void set_threads(int count);
int threads();
// Cores this process may run on (affinity respected).
int available_cores();

// Calls body(chunk) once for every chunk in [0, chunks), in any order, on any thread; returns when all are done. The first exception
// of a body is rethrown here when no chunk is running any more; chunks not yet begun may be left out. A nested call, and a call while another thread's loop is running, runs inline.
void parallel_for(int64_t chunks, const std::function<void(int64_t)>& body);
// Cuts [0, n) into pieces of `grain` (the last may be shorter): body(begin, end).
void parallel_ranges(int64_t n, int64_t grain, const std::function<void(int64_t, int64_t)>& body);

}  // namespace finback
