// What a register tile multiplies: one block of C, A and B in memory. The type that tiles of all precisions share; knows no instruction set.
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

}  // namespace finback
