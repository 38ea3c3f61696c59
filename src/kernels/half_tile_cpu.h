// FP8 products in half precision, for processors with AVX512_FP16, which Highway 1.0.3 cannot express: one instruction multiplies and adds 32
// halves, twice the rate of f32. An E4M3 value over a power of two is a half exactly; at most 128 products are summed in halves and then
// added to an f32 sum, as V3 section 3.3.2 promotes every 128. Both sides lie in words of 32 bits. Knows no threads and no variants.
//
// A piece of K, `depth` <= 128 long, takes 1 + depth words: first the scales, powers of two as bf16, then the values over them.
// Left: [1 + depth][kHalfTileRows] words, each the same half twice. Right: [1 + depth][kHalfTileColumns / 2] words of two columns that follow
// each other, the first in the low half.
#pragma once
#include <cstdint>

namespace finback {

constexpr int64_t kHalfTileRows = 12, kHalfTileColumns = 64;

// This processor and its operating system have AVX512_FP16 (and the AVX512F, BW and VL that the packing uses).
bool half_tile_runs_here();

// c[rows, columns] (+)= left * right of one piece, rows <= kHalfTileRows, columns <= kHalfTileColumns. An element adds one number to c: a chain of
// half FMAs over the piece from 0, widened, times the left scale, then one f32 FMA with the right scale. |value| < 2: no sum overflows.
void half_tile(int64_t rows, int64_t columns, int64_t depth, const float* left, const float* right, float* c, int64_t ldc, bool accumulate);

// The power of two at most `amax` (1 for 0), so that the largest value over it is in [1, 2); within [2^-126, 2^126], so that 1 / scale is exact.
float half_scale(float amax);
// words[0] the scales, words[1 + i] = (first[i] / scale, second[i] / scale), each row over the scale of its amax, in which a NaN takes no part; n <= 128.
void pair_halves(int64_t n, const float* first, const float* second, float* words);
// Down the rows of x [rows, columns]: the scale of every column and 1 / scale, then the word rows of the scales and of a row. `paired`: words of two
// columns, an even number of them; else of one column twice.
void column_half_scales(int64_t rows, int64_t columns, const float* x, int64_t pitch, float* scales, float* inverses);
void scale_words(int64_t columns, const float* scales, bool paired, float* words);
void half_words(int64_t columns, const float* x, const float* inverses, bool paired, float* words);

}  // namespace finback
