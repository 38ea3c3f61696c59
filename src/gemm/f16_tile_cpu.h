// FP8 products in f16, for processors with AVX512_FP16, which Highway 1.0.3 cannot express: one instruction multiplies and adds 32
// f16 numbers, twice the rate of f32. An E4M3 value over a power of two is an f16 number exactly; at most 128 products are summed in f16 and then
// added to an f32 sum, as V3 section 3.3.2 promotes every 128. Both sides lie in words of 32 bits. Knows no threads and no variants.
//
// A range of K, at most 128 long, takes 1 + ceil(length / 2) words: first the scale, a power of two as f32, then pairs of the values over it that
// follow each other along K, the first in the low half. A range of odd length ends with a 0.
#pragma once
#include <cstdint>

#include "gemm/tile_block.h"

namespace finback {

constexpr int64_t kF16TileRows = 12, kF16TileColumns = 32;

// This processor and its operating system have AVX512_FP16 (and the AVX512F, BW and VL that the packing uses).
bool f16_tile_runs_here();

// C (+)= A B of one range for at most kF16TileColumns columns, any number of rows; depth counts the scales' word. An element adds one number to C:
// two chains of f16 FMAs from 0, over the first and over the second values of the words, widened and added, times the left scale, then one f32 FMA
// with the right scale. |value| < 2: no sum overflows.
void f16_tile(const TileBlock& x);

// The power of two at most `amax` (1 for 0), so that the largest value over it is in [1, 2); within [2^-126, 2^126], so that 1 / scale is exact.
float f16_scale(float amax);
// A range of n <= 128 numbers as words, over the scale of their amax, in which a NaN takes no part.
void pair_f16(int64_t n, const float* x, float* words);
// Down the rows of x [rows, columns]: the scale of every column and 1 / scale.
void column_f16_scales(int64_t rows, int64_t columns, const float* x, int64_t pitch, float* scales, float* inverses);
// words[c] = (low[c], high[c]) * inverses[c].
void f16_words(int64_t columns, const float* low, const float* high, const float* inverses, float* words);

}  // namespace finback
