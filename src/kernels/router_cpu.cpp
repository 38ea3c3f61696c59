#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/router_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>

#include "gemm/lanes.h"
#include "gemm/vector_exp.h"
#include "kernels/router_cpu.h"

HWY_BEFORE_NAMESPACE();
namespace finback {
namespace HWY_NAMESPACE {

HWY_ATTR void sigmoid(int64_t n, const float* HWY_RESTRICT logits, float* HWY_RESTRICT scores) {
  for (int64_t j = 0; j < n; j += lanes()) store_some(vector_sigmoid(kF, load_some(logits + j, n - j)), scores + j, n - j);
}

HWY_ATTR void softmax(int64_t n, const float* HWY_RESTRICT logits, float* HWY_RESTRICT scores) {
  const auto highest = hn::Set(kF, *std::max_element(logits, logits + n));
  const float sum = row_sum(n, [&](int64_t j, int64_t left) HWY_ATTR {
    const auto e = vector_exp(kF, hn::Sub(load_some(logits + j, left), highest));
    store_some(e, scores + j, left);
    return left >= lanes() ? e : load_some(scores + j, left);  // zero beyond the row
  });
  const auto total = hn::Set(kF, sum);
  for (int64_t j = 0; j < n; j += lanes()) store_some(hn::Div(load_some(scores + j, n - j), total), scores + j, n - j);
}

HWY_ATTR const RouterRows* get_router_rows() {
  static const RouterRows table = {sigmoid, softmax};
  return &table;
}

}  // namespace HWY_NAMESPACE
}  // namespace finback
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace finback {
HWY_EXPORT(get_router_rows);
const RouterRows& router_rows() { return *HWY_DYNAMIC_DISPATCH(get_router_rows)(); }
}  // namespace finback
#endif
