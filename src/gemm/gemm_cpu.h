// The instruction-set half of gemm: one register tile and its packing, chosen by the kernel variant. Knows no threads.
#pragma once
#include <cstdint>

namespace finback {

// C[rows, columns] (+)= A B for at most tile.columns columns. Element (r, k) of tile i of A, tile.rows rows high, is at
// a[i * a_tile + r * a_row + k * a_k]; a_row or a_k is 1. Row k of B is at b + k * ldb, readable to a whole vector (half a tile's columns).
struct TileBlock {
  int64_t rows, columns, depth;
  const float* a;
  int64_t a_tile, a_row, a_k;
  const float* b;
  int64_t ldb;
  float* c;
  int64_t ldc;
  bool accumulate;
};

struct GemmTile {
  int64_t rows, columns;  // of the register tile
  // [ceil(rows / tile.rows)][depth][tile.rows]; what pads the last panel is never read.
  void (*pack_a)(int64_t rows, int64_t depth, const float* a, int64_t row_stride, int64_t column_stride, float* packed);
  // One panel [depth][tile.columns], columns beyond `columns` zero.
  void (*pack_b)(int64_t depth, int64_t columns, const float* b, int64_t row_stride, int64_t column_stride, float* packed);
  void (*block)(const TileBlock& x);
};
const GemmTile& gemm_tile();

}  // namespace finback
