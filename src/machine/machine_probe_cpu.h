// The SIMD code, compiled per instruction set, of measure_machine: one loop that only multiplies and adds in registers, one that only reads. Knows no threads.
#pragma once
#include <cstddef>
#include <cstdint>

namespace finback {

struct ProbeLoops {
  int64_t flops_a_round;
  float (*fma)(int64_t rounds);                       // the result depends on every round, so none can be removed
  float (*read)(const float* floats, int64_t count);  // sum of count floats; count a multiple of 256
};
const ProbeLoops& probe_loops();

// Takes `bytes` from `memory` on out of every cache, so that they are read from memory next. Only where the processor can: x86 with CLFLUSHOPT.
bool can_flush_caches();
void flush_caches(const void* memory, size_t bytes);

}  // namespace finback
