// The SIMD code, compiled per instruction set, of gemm for panels as they are stored: a few rows against panels that are read once, and a panel widened to f32.
// Both read a number alike, and an element of C is one chain over k in both. Knows no threads.
#pragma once
#include <cstdint>

#include "gemm/panels.h"

namespace finback {

// Rows of A and of C; K = depth.
struct StreamRows {
  int64_t rows, depth;
  Operand a_MK;
  float* c_MN;
  int64_t ldc;
  bool accumulate;
};

struct PanelStream {
  // c[rows, columns] (+)= a * as many panels as the columns need, which lie one behind the other.
  void (*multiply)(const StreamRows& x, int64_t columns, const Panels& panels);
  // Rows [k0, k0 + depth) of one panel as f32, [depth][width]. REQUIRES: k0 is a multiple of 128.
  void (*widen)(int64_t k0, int64_t depth, const Panels& panel, float* out);
};
const PanelStream& panel_stream();

}  // namespace finback
