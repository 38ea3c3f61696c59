// Matrix multiplication of bf16 and FP8 operands with f32 sums; raw pointers, knows no tensors. Operands are packed as words (quantized_panels.h) a
// little at a time, so that words are multiplied while they lie in a core's own cache. See Note [Quantized sums] in quantized_gemm.cpp.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "gemm/quantized_panels.h"

namespace finback {

// C [rows, n] = A B: A is rows [first, first + rows) of a source, B panels of pack_along or pack_down. C's rows follow each other.
struct RowsJob {
  RowReader from;
  int64_t first, rows, n;
  const Word* b;
  float* c;
};
// All jobs in one pool loop; `ranges` are those of the K of each. An element is one chain over the words.
void multiply_rows(std::span<const RowsJob> jobs, std::span<const KRange> ranges, const QuantizedTile& tile);

// C [m, n] += A^T B: the columns of two sources, K down their rows.
struct ColumnsJob {
  RowReader a, b;
  int64_t m, n;
  std::vector<KRange> ranges;
  float* c;
  int64_t ldc;
};
// No two jobs may write the same element. An element is one chain over the words of all ranges in order, continuing from C. round_columns: see DownJob.
void multiply_columns(std::span<const ColumnsJob> jobs, bool round_columns, const QuantizedTile& tile);

}  // namespace finback
