#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/swiglu_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "gemm/lanes.h"
#include "gemm/vector_exp.h"
#include "kernels/swiglu_cpu.h"

HWY_BEFORE_NAMESPACE();
namespace finback {
namespace HWY_NAMESPACE {

HWY_ATTR void forward(int64_t rows, int64_t f, const float* HWY_RESTRICT gate_up, int64_t stride, float* HWY_RESTRICT y) {
  for (int64_t t = 0; t < rows; ++t, gate_up += stride, y += f) {
    for (int64_t j = 0; j < f; j += lanes()) {
      const auto gate = load_some(gate_up + j, f - j), up = load_some(gate_up + f + j, f - j);
      store_some(hn::Mul(hn::Mul(gate, vector_sigmoid(kF, gate)), up), y + j, f - j);
    }
  }
}

// With s = sigmoid(gate): d up = dy gate s, d gate = dy up s (1 + gate (1 - s)).
HWY_ATTR void backward(int64_t rows, int64_t f, const float* HWY_RESTRICT dy, int64_t dy_stride, const float* HWY_RESTRICT gate_up,
                       int64_t stride, float* HWY_RESTRICT d_gate_up) {
  const auto one = hn::Set(kF, 1.0f);
  for (int64_t t = 0; t < rows; ++t, dy += dy_stride, gate_up += stride, d_gate_up += 2 * f) {
    for (int64_t j = 0; j < f; j += lanes()) {
      const auto gate = load_some(gate_up + j, f - j), up = load_some(gate_up + f + j, f - j), d = load_some(dy + j, f - j);
      const auto s = vector_sigmoid(kF, gate);
      const auto slope = hn::Mul(s, hn::MulAdd(gate, hn::Sub(one, s), one));
      store_some(hn::Mul(hn::Mul(d, up), slope), d_gate_up + j, f - j);
      store_some(hn::Mul(hn::Mul(d, gate), s), d_gate_up + f + j, f - j);
    }
  }
}

HWY_ATTR const SwigluRows* get_swiglu_rows() {
  static const SwigluRows table = {forward, backward};
  return &table;
}

}  // namespace HWY_NAMESPACE
}  // namespace finback
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace finback {
HWY_EXPORT(get_swiglu_rows);
const SwigluRows& swiglu_rows() { return *HWY_DYNAMIC_DISPATCH(get_swiglu_rows)(); }
}  // namespace finback
#endif
