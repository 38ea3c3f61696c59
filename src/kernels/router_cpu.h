// The SIMD code, compiled per instruction set, of the router: scores of a row. The choice of experts is scalar and the same for every variant.
#pragma once
#include <cstdint>

namespace finback {

struct RouterRows {
  void (*sigmoid)(int64_t n, const float* logits, float* scores);
  void (*softmax)(int64_t n, const float* logits, float* scores);
};
const RouterRows& router_rows();

}  // namespace finback
