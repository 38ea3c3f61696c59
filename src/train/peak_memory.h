// Peak resident memory of this process, as the kernel counts it.
#pragma once
#include <cstdint>

namespace finback {

// 0 where it cannot be read.
int64_t peak_memory_bytes();
// Gives freed memory back and begins counting anew; where the system does not allow it, the peak stays.
void forget_peak_memory();

}  // namespace finback
