// The instruction-set half of gemm: one register tile and its packing, chosen by the kernel variant. Knows no threads.
#pragma once
#include <cstdint>

namespace finback {

struct GemmTile {
  int64_t rows, columns;  // of the register tile
  // [ceil(rows / tile.rows)][depth][tile.rows]; what pads the last panel is never read.
  void (*pack_a)(int64_t rows, int64_t depth, const float* a, int64_t row_stride, int64_t column_stride, float* packed);
  // One panel [depth][tile.columns], columns beyond `columns` zero.
  void (*pack_b)(int64_t depth, int64_t columns, const float* b, int64_t row_stride, int64_t column_stride, float* packed);
  // c[rows, columns] (+)= packed_a * one packed panel; columns <= tile.columns.
  void (*block)(int64_t rows, int64_t columns, int64_t depth, const float* packed_a, const float* packed_b, float* c, int64_t ldc,
                bool accumulate);
};
const GemmTile& gemm_tile();

}  // namespace finback
