// The SIMD code, compiled per instruction set, of permute: one token's rows. Knows no threads.
#pragma once
#include <cstdint>
#include <span>

namespace finback {

struct PermuteRows {
  // y[d] = sum over k of weights[k] * rows[permuted_rows[k]], k in order, then each row of `plus` in order; weights null: plain sum.
  void (*unpermute)(int64_t k, int64_t d, const float* rows, int64_t row_stride, const int64_t* permuted_rows, const float* weights,
                    std::span<const float* const> plus, float* y);
  // d_rows[permuted_rows[k]] = weights[k] * dy; d_weights[k] = dot(dy, rows[permuted_rows[k]]). d_rows contiguous.
  void (*unpermute_backward)(int64_t k, int64_t d, const float* dy, const float* rows, int64_t row_stride, const int64_t* permuted_rows,
                             const float* weights, float* d_rows, float* d_weights);
};
const PermuteRows& permute_rows();

}  // namespace finback
