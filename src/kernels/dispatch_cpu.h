// The instruction-set half of dispatch: one token's rows. Knows no threads.
#pragma once
#include <cstdint>
#include <span>

namespace finback {

struct DispatchRows {
  // y[d] = sum over k of weights[k] * rows[slots[k]], k in order, then each row of `plus` in order; weights null: plain sum.
  void (*combine)(int64_t k, int64_t d, const float* rows, int64_t row_stride, const int64_t* slots, const float* weights,
                  std::span<const float* const> plus, float* y);
  // d_rows[slots[k]] = weights[k] * dy; d_weights[k] = dot(dy, rows[slots[k]]). d_rows contiguous.
  void (*combine_backward)(int64_t k, int64_t d, const float* dy, const float* rows, int64_t row_stride, const int64_t* slots,
                           const float* weights, float* d_rows, float* d_weights);
};
const DispatchRows& dispatch_rows();

}  // namespace finback
