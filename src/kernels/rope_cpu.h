// The SIMD code, compiled per instruction set, of rope_: one token's heads. Knows no threads.
#pragma once
#include <cstdint>

namespace finback {

struct RopeRows {
  // x: heads rows of r floats, head_stride apart. cos_r, sin_r: r floats each, the angle's cosine under both channels of a pair and the
  // sine with the sign that the channel takes: x = x cos + partner sin. Scratch-free.
  void (*interleaved)(int64_t heads, int64_t r, float* x, int64_t head_stride, const float* cos_r, const float* sin_r);
  void (*rotate_half)(int64_t heads, int64_t r, float* x, int64_t head_stride, const float* cos_r, const float* sin_r);
};
const RopeRows& rope_rows();

}  // namespace finback
