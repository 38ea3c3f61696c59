// What every process of the program takes beside its tensors: a measured constant of this build, for the counts of train_memory.h and serve_memory.h.
#pragma once

namespace finback {

// The program with libtorch and its kernels' scratch: peak memory of `bench step` less the counted tensors, 125 to 131 MB for nano, tiny and small.
inline constexpr double kProgramBytes = 128e6;

}  // namespace finback
