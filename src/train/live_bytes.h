// Bytes of CPU tensor memory in use, counted at the allocator. For benches: counting stays on until the process ends.
#pragma once
#include <cstdint>

namespace finback {

// Tensors made before this call are not counted. Not thread-safe.
void count_tensor_bytes();
// 0 until counting began.
int64_t live_tensor_bytes();

}  // namespace finback
