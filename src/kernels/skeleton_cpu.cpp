#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/skeleton_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "gemm/lanes.h"
#include "kernels/skeleton_cpu.h"

HWY_BEFORE_NAMESPACE();
namespace finback {
namespace HWY_NAMESPACE {

// Every vector of a row, the last and partial one included, goes through the same arithmetic: load_some and store_some.
HWY_ATTR void axpby(int64_t n, float a, const float* HWY_RESTRICT x, float b, float* HWY_RESTRICT y) {
  const auto va = hn::Set(kF, a), vb = hn::Set(kF, b);
  for (int64_t j = 0; j < n; j += lanes()) {
    store_some(hn::MulAdd(va, load_some(x + j, n - j), hn::Mul(vb, load_some(y + j, n - j))), y + j, n - j);
  }
}

HWY_ATTR const SkeletonRows* get_skeleton_rows() {
  static const SkeletonRows table = {axpby};
  return &table;
}

}  // namespace HWY_NAMESPACE
}  // namespace finback
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace finback {
HWY_EXPORT(get_skeleton_rows);
const SkeletonRows& skeleton_rows() { return *HWY_DYNAMIC_DISPATCH(get_skeleton_rows)(); }
}  // namespace finback
#endif
