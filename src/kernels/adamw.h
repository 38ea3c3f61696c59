// AdamW over one flat f32 buffer (Loshchilov & Hutter 2019, decoupled decay), and the reductions of a step: norm and finiteness.
// Work is cut in fixed ranges, so the same bits at any thread count.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

namespace finback {

struct AdamwOptions {
  double lr = 1e-3, beta1 = 0.9, beta2 = 0.95, eps = 1e-8, weight_decay = 0.1;
  int64_t step = 1;         // 1 for the first update (bias correction)
  double grad_scale = 1.0;  // multiplies the gradient first: clipping
};
// Elements [begin, end) of the flat buffer.
struct FlatRange {
  int64_t begin, end;
};
// decayed: matrices; the others do not decay.
void adamw_(const at::Tensor& values_P, const at::Tensor& grads_P, const at::Tensor& m_P, const at::Tensor& v_P,
            const std::vector<FlatRange>& decayed, const AdamwOptions& options);
void adamw_ref_(const at::Tensor& values_P, const at::Tensor& grads_P, const at::Tensor& m_P, const at::Tensor& v_P,
                const std::vector<FlatRange>& decayed, const AdamwOptions& options);
// Sum of squares over `pieces`: each in f64, their sums exactly (base/exact_sum.h), so it does not depend on the order of pieces or on who added
// which. NaN or Inf inside gives a non-finite result.
double sum_of_squares(const at::Tensor& flat_P, std::span<const FlatRange> pieces);
// Index of the first NaN or Inf, -1 when all are finite.
int64_t first_nonfinite(const at::Tensor& flat_P);

}  // namespace finback
