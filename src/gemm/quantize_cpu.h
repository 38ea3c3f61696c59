// Quantization for every instruction set: rounding to bf16 and to E4M3 with a scale, E4M3 codes, and the 32-bit words of two
// bf16 numbers that the bf16 tile multiplies. A result depends on its element and scale alone. Knows no threads.
#pragma once
#include <cstdint>

namespace finback {

struct QuantizeLoops {
  // Largest magnitude of n values; a NaN takes no part.
  float (*amax)(int64_t n, const float* x);
  // codes[i] = E4M3 of x[i] / scale: to nearest even, saturating at 448, NaN kept. power_of_two: the scale is one, so 1 / scale is exact.
  void (*encode)(int64_t n, const float* x, float scale, bool power_of_two, uint8_t* codes);
  void (*decode)(int64_t n, const uint8_t* codes, float scale, float* x);
  // decode(encode(x)) without the codes. REQUIRES: scale a power of two. x may be y.
  void (*round_e4m3)(int64_t n, const float* x, float scale, float* y);
  // To nearest even; a NaN stays one. x may be y.
  void (*round_bf16)(int64_t n, const float* x, float* y);
  void (*widen_bf16)(int64_t n, const uint16_t* x, float* y);
  // 128x1 tiles: every column of y is round_e4m3 of that column of x with the power-of-two scale of its amax. x may be y.
  void (*round_columns)(int64_t rows, int64_t columns, const float* x, int64_t x_stride, float* y, int64_t y_stride);
  // round_columns, and pair_rows of each two rows after it: words [ceil(rows / 2)][columns], an odd last row is paired with 0.
  void (*round_and_pair_columns)(int64_t rows, int64_t columns, const float* x, int64_t stride, float* words);
  // Words of pairs of bf16-exact numbers, the first in the low half: (x[0], x[1]), (x[2], x[3]), ...; an odd last one is paired with 0.
  void (*pair_columns)(int64_t n, const float* x, uint32_t* words);
  // words[i] = (first[i], second[i]).
  void (*pair_rows)(int64_t n, const float* first, const float* second, float* words);
  // out[d * pitch + r] = words[r * stride + d]; moves 32 bits, whatever they mean.
  void (*transpose)(int64_t rows, int64_t depth, const float* words, int64_t stride, float* out, int64_t pitch);
};
const QuantizeLoops& quantize_loops();

}  // namespace finback
