#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/permute_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "gemm/lanes.h"
#include "kernels/permute_cpu.h"

HWY_BEFORE_NAMESPACE();
namespace finback {
namespace HWY_NAMESPACE {

HWY_ATTR void unpermute(int64_t k, int64_t d, const float* HWY_RESTRICT rows, int64_t row_stride, const int64_t* permuted_rows,
                        const float* weights, std::span<const float* const> plus, float* HWY_RESTRICT y) {
  for (int64_t j = 0; j < d; j += lanes()) {
    auto sum = hn::Zero(kF);
    for (int64_t i = 0; i < k; ++i) {
      const auto v = load_some(rows + permuted_rows[i] * row_stride + j, d - j);
      sum = weights != nullptr ? hn::MulAdd(hn::Set(kF, weights[i]), v, sum) : hn::Add(sum, v);
    }
    for (const float* row : plus) sum = hn::Add(sum, load_some(row + j, d - j));
    store_some(sum, y + j, d - j);
  }
}

HWY_ATTR void unpermute_backward(int64_t k, int64_t d, const float* HWY_RESTRICT dy, const float* HWY_RESTRICT rows, int64_t row_stride,
                                 const int64_t* permuted_rows, const float* HWY_RESTRICT weights, float* HWY_RESTRICT d_rows,
                                 float* HWY_RESTRICT d_weights) {
  for (int64_t i = 0; i < k; ++i) {
    const float* HWY_RESTRICT row = rows + permuted_rows[i] * row_stride;
    float* HWY_RESTRICT d_row = d_rows + permuted_rows[i] * d;
    const auto weight = hn::Set(kF, weights[i]);
    d_weights[i] = row_sum(d, [&](int64_t j, int64_t left) HWY_ATTR {
      const auto v = load_some(dy + j, left);
      store_some(hn::Mul(weight, v), d_row + j, left);
      return hn::Mul(v, load_some(row + j, left));
    });
  }
}

HWY_ATTR const PermuteRows* get_permute_rows() {
  static const PermuteRows table = {unpermute, unpermute_backward};
  return &table;
}

}  // namespace HWY_NAMESPACE
}  // namespace finback
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace finback {
HWY_EXPORT(get_permute_rows);
const PermuteRows& permute_rows() { return *HWY_DYNAMIC_DISPATCH(get_permute_rows)(); }
}  // namespace finback
#endif
