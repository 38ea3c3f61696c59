// The SIMD code, compiled per instruction set, of the skeleton op: one row. Sees no ATen and knows no threads.
#pragma once
#include <cstdint>

namespace finback {

struct SkeletonRows {
  // y[n] = a x + b y
  void (*axpby)(int64_t n, float a, const float* x, float b, float* y);
};
const SkeletonRows& skeleton_rows();

}  // namespace finback
