#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/rope_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "gemm/lanes.h"
#include "kernels/rope_cpu.h"

HWY_BEFORE_NAMESPACE();
namespace finback {
namespace HWY_NAMESPACE {

HWY_ATTR void interleaved(int64_t heads, int64_t r, float* HWY_RESTRICT x, int64_t head_stride, const float* HWY_RESTRICT cos_r,
                          const float* HWY_RESTRICT sin_r) {
  for (int64_t h = 0; h < heads; ++h, x += head_stride) {
#if HWY_TARGET == HWY_SCALAR  // one lane holds no pair
    for (int64_t j = 0; j < r; j += 2) {
      const float a = x[j], b = x[j + 1];
      x[j] = a * cos_r[j] + b * sin_r[j];
      x[j + 1] = b * cos_r[j + 1] + a * sin_r[j + 1];
    }
#else
    for (int64_t j = 0; j < r; j += lanes()) {
      const auto v = load_some(x + j, r - j), partner = hn::Shuffle2301(v);
      store_some(hn::Add(hn::Mul(v, load_some(cos_r + j, r - j)), hn::Mul(partner, load_some(sin_r + j, r - j))), x + j, r - j);
    }
#endif
  }
}

HWY_ATTR void rotate_half(int64_t heads, int64_t r, float* HWY_RESTRICT x, int64_t head_stride, const float* HWY_RESTRICT cos_r,
                          const float* HWY_RESTRICT sin_r) {
  const int64_t half = r / 2;
  for (int64_t h = 0; h < heads; ++h, x += head_stride) {
    for (int64_t j = 0; j < half; j += lanes()) {
      const int64_t left = half - j;
      const auto a = load_some(x + j, left), b = load_some(x + half + j, left);
      store_some(hn::Add(hn::Mul(a, load_some(cos_r + j, left)), hn::Mul(b, load_some(sin_r + j, left))), x + j, left);
      store_some(hn::Add(hn::Mul(b, load_some(cos_r + half + j, left)), hn::Mul(a, load_some(sin_r + half + j, left))), x + half + j, left);
    }
  }
}

HWY_ATTR const RopeRows* get_rope_rows() {
  static const RopeRows table = {interleaved, rotate_half};
  return &table;
}

}  // namespace HWY_NAMESPACE
}  // namespace finback
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace finback {
HWY_EXPORT(get_rope_rows);
const RopeRows& rope_rows() { return *HWY_DYNAMIC_DISPATCH(get_rope_rows)(); }
}  // namespace finback
#endif
