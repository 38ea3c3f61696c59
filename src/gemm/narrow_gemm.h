// Matrix multiplication of operands narrower than f32, f32 sums; raw pointers, knows no tensors. Operands are packed as words (narrow_panels.h) a
// little at a time, so that words are multiplied while they lie in a core's own cache. See Note [Narrow sums] in narrow_gemm.cpp.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "gemm/narrow_panels.h"

namespace finback {

// C [rows, n] = A B: A is rows [first, first + rows) of a source, B panels of pack_along or pack_down. C's rows follow each other.
struct RowsJob {
  RowReader from;
  int64_t first, rows, n;
  const float* b;
  float* c;
};
// All jobs in one pool loop; `pieces` cut the K of each. An element is one chain over the words.
void multiply_rows(std::span<const RowsJob> jobs, std::span<const Piece> pieces, const WordTile& tile);

// C [m, n] += A^T B: the columns of two sources, K down their rows.
struct ColumnsJob {
  RowReader a, b;
  int64_t m, n;
  std::vector<Piece> pieces;
  float* c;
  int64_t ldc;
};
// No two jobs may write the same element. An element is one chain over the words of all pieces in order, continuing from C. round_columns: see DownJob.
void multiply_columns(std::span<const ColumnsJob> jobs, bool round_columns, const WordTile& tile);

}  // namespace finback
