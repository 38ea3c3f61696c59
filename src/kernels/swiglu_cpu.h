// The SIMD code, compiled per instruction set, of swiglu: ranges of rows. Knows no threads.
#pragma once
#include <cstdint>

namespace finback {

struct SwigluRows {
  // y [rows, f] contiguous; gate_up rows stride apart, the up columns f after the gate columns.
  void (*forward)(int64_t rows, int64_t f, const float* gate_up, int64_t stride, float* y);
  // d_gate_up [rows, 2 f] contiguous.
  void (*backward)(int64_t rows, int64_t f, const float* dy, int64_t dy_stride, const float* gate_up, int64_t stride, float* d_gate_up);
};
const SwigluRows& swiglu_rows();

}  // namespace finback
