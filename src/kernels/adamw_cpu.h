// The SIMD code, compiled per instruction set, of adamw_ and sum_of_squares: ranges of the flat buffer. Knows no threads.
#pragma once
#include <cstdint>

namespace finback {

struct AdamwRanges {
  // The numbers of one update, the same for all elements but `keep` (1, or 1 - lr weight_decay where weights decay).
  struct Numbers {
    float grad_scale, beta1, beta2, one_minus_beta1, one_minus_beta2, rate, inverse_correction2, eps;
  };
  void (*update)(int64_t n, const Numbers& numbers, float keep, const float* grads, float* values, float* m, float* v);
  double (*sum_of_squares)(int64_t n, const float* x);
};
const AdamwRanges& adamw_ranges();

}  // namespace finback
