// Linear layers whose operands are bf16 or E4M3 and whose sums are f32, plain and grouped. All three multiplications take quantized operands
// (V3 section 3.3): activations and output gradients in 1x128 tiles along K, weights in 128x128 blocks, and for the weight gradient both again
// in 128x1 tiles along the tokens. Scales are powers of two. f32 weights stay the masters. Knows no experts beyond groups of rows.
#pragma once
#include <ATen/core/Tensor.h>

#include "kernels/packed_weight.h"
#include "kernels/quantized_rows.h"

namespace finback {

// Which of the S rows of y belong to which group (expert), and which row of x each one reads. i64 tensors on the rows' device: the CPU reads them
// in place, the references fetch offsets and tile boundaries.
struct RowGroups {
  at::Tensor offsets;        // rows [offsets[e], offsets[e + 1]) use group e; groups + 1 entries
  at::Tensor source_rows_S;  // the row of x; undefined: row s of y reads row s of x
  // Tiles of 128 tokens never cross these rows: not descending, from 0 to S, all offsets among them. See Note [Tiles along tokens].
  at::Tensor tile_boundaries;
  // Of each group, how many of its first rows an audit looks at; undefined: none.
  at::Tensor sampled_E;
};
// All `count` rows in one group; `tile_boundaries` as above, or undefined: none between.
RowGroups one_group(int64_t count, const at::Tensor& tile_boundaries = {}, at::Device device = at::kCPU);

// y_SN = x[source_rows_S] W^T. REQUIRES: x and w of one precision, bf16 or fp8.
at::Tensor quantized_linear(const QuantizedRows& x, const PackedWeight& w, const RowGroups& groups);
// dx_SK = dy_SN W, dy rounded to w's precision here.
at::Tensor quantized_linear_dgrad(const at::Tensor& dy_SN, const PackedWeight& w, const RowGroups& groups);
// dw += dy_SN^T x[source_rows_S], rows in order, operands in `precision` (f32: x as it is stored, dy as it is). dw [N, K], or [E, N, K].
// Micro-batches that begin and end at tile boundaries add up to the bits of one big batch.
void quantized_linear_wgrad_(const at::Tensor& dw, const at::Tensor& dy_SN, const QuantizedRows& x, Precision precision,
                             const RowGroups& groups);

// The references: the operands as f32 numbers; what the functions above return is their product to f32's accumulation error.
at::Tensor quantized_columns_ref(const at::Tensor& x_SK, Precision precision, const at::Tensor& tile_boundaries);
at::Tensor quantized_linear_ref(const QuantizedRows& x, const at::Tensor& weight, Precision precision, const RowGroups& groups);
at::Tensor quantized_linear_dgrad_ref(const at::Tensor& dy_SN, const at::Tensor& weight, Precision precision, const RowGroups& groups);
at::Tensor quantized_linear_wgrad_ref(const at::Tensor& dw, const at::Tensor& dy_SN, const QuantizedRows& x, Precision precision,
                                      const RowGroups& groups);

}  // namespace finback
