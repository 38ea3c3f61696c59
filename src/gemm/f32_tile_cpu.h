// The SIMD code, compiled per instruction set, of f32_gemm: one register tile and its packing, chosen by the kernel variant. Knows no threads.
#pragma once
#include <cstdint>

#include "gemm/tile_block.h"

namespace finback {

struct F32Tile {
  int64_t rows, columns;  // of the register tile
  // [ceil(rows / tile.rows)][depth][tile.rows]; what pads the last panel is never read.
  void (*pack_a)(int64_t rows, int64_t depth, const float* a, int64_t row_stride, int64_t column_stride, float* packed);
  // One panel [depth][tile.columns], columns beyond `columns` zero.
  void (*pack_b)(int64_t depth, int64_t columns, const float* b, int64_t row_stride, int64_t column_stride, float* packed);
  void (*block)(const TileBlock& x);
};
const F32Tile& f32_tile();

}  // namespace finback
