// Linear layers whose operands are bf16 or E4M3 and whose sums are f32, plain and grouped. All three multiplications take narrow operands
// (V3 section 3.3): activations and output gradients in 1x128 tiles along K, weights in 128x128 blocks, and for the weight gradient both again
// in 128x1 tiles along the tokens. Scales are powers of two. f32 weights stay the masters. Knows no experts beyond groups of slots.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "kernels/narrow_rows.h"
#include "kernels/packed_weight.h"

namespace finback {

// Which slots belong to which group, and which row of the input each slot reads.
struct Slots {
  std::vector<int64_t> offsets;  // slots [offsets[e], offsets[e + 1]) use group e; groups + 1 entries
  at::Tensor rows_S;             // i64, the row of the input; undefined: slot s is row s
  // Tiles of 128 tokens never cross these slots: ascending, from 0 to S, all offsets among them. See Note [Tiles along tokens].
  std::vector<int64_t> cuts;
  // Of each group, how many of its first slots an audit looks at; empty: none.
  std::vector<int64_t> sampled;
};
// All `count` rows in one group; `cuts` as above, or empty: one piece.
Slots one_group(int64_t count, std::vector<int64_t> cuts = {});

// y_SN = x[rows_S] W^T. REQUIRES: x and w of one precision, bf16 or fp8.
at::Tensor narrow_linear(const NarrowRows& x, const PackedWeight& w, const Slots& slots);
// dx_SK = dy_SN W, dy rounded to w's precision here.
at::Tensor narrow_linear_dgrad(const at::Tensor& dy_SN, const PackedWeight& w, const Slots& slots);
// dw += dy_SN^T x[rows_S], slots in order, operands in `precision` (f32: x as it is stored, dy as it is). dw [N, K], or [E, N, K].
// Micro-batches that are cut at cuts add up to the bits of one big batch.
void narrow_linear_wgrad_(const at::Tensor& dw, const at::Tensor& dy_SN, const NarrowRows& x, Precision precision, const Slots& slots);

// The definitions: the operands as f32 numbers; what the functions above return is their product to f32's accumulation error.
at::Tensor narrow_columns_ref(const at::Tensor& x_SK, Precision precision, const std::vector<int64_t>& cuts);
at::Tensor narrow_linear_ref(const NarrowRows& x, const at::Tensor& weight, Precision precision, const Slots& slots);
at::Tensor narrow_linear_dgrad_ref(const at::Tensor& dy_SN, const at::Tensor& weight, Precision precision, const Slots& slots);
at::Tensor narrow_linear_wgrad_ref(const at::Tensor& dw, const at::Tensor& dy_SN, const NarrowRows& x, Precision precision,
                                   const Slots& slots);

}  // namespace finback
