// The SIMD code, compiled per instruction set, of int8 products: integers, so their sums are exact in any order and every variant has the same. Knows no threads.
#pragma once
#include <array>
#include <cstdint>

#include "gemm/panels.h"

namespace finback {

// One block of a row of activations: round(a / scale) in 16 bits, also as two signed digits, q = 256 high + low; |q| <= 127 * 256.
struct Int8Block {
  std::array<int16_t, kInt8Block> q;
  std::array<int8_t, kInt8Block> high, low;
  float scale;
  int32_t offset;  // -128 sum q: weights are stored as code + 128
};
// The blocks of n numbers; the last one is filled with zeros. A block that holds a NaN or an infinity has a scale of NaN.
void quantize_blocks(int64_t n, const float* a, Int8Block* blocks);

// c[rows, columns] (+)= a * as many panels as the columns need, which lie one behind the other: a chain over blocks of
// c = fma(sum of q * code, a's scale * the column's scale, c).
struct Int8Product {
  int64_t rows, k, columns;
  const Int8Block* a;  // [rows][ceil(k / 32)]
  Panels panels;
  float* c;
  int64_t ldc;
  bool accumulate;
};
void int8_multiply(const Int8Product& x);

}  // namespace finback
