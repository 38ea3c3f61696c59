#include "kernels/bf16_tile_cpu.h"

// The target attribute instead of flags for the file: nothing that the linker may share with other files is compiled with AVX-512.
#if defined(__x86_64__)
#include <immintrin.h>

namespace finback {
namespace {

#define FINBACK_BF16_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))

// One word of a in every lane. A vector load with embedded broadcast: the pair never passes a general register.
FINBACK_BF16_TARGET inline __m512bh broadcast(const float* word) { return (__m512bh)_mm512_set1_ps(*word); }

template <int R>
FINBACK_BF16_TARGET inline __attribute__((always_inline)) void multiply(int64_t columns, int64_t depth, const float* a, const float* b,
                                                                        float* c, int64_t ldc, bool accumulate) {
  const __mmask16 low_mask = columns >= 16 ? 0xffff : __mmask16((1u << columns) - 1);
  const __mmask16 high_mask = columns >= 32 ? 0xffff : columns > 16 ? __mmask16((1u << (columns - 16)) - 1) : 0;
  __m512 low[R], high[R];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
    low[r] = accumulate ? _mm512_maskz_loadu_ps(low_mask, c + r * ldc) : _mm512_setzero_ps();
    high[r] = accumulate ? _mm512_maskz_loadu_ps(high_mask, c + r * ldc + 16) : _mm512_setzero_ps();
  }
  for (int64_t k = 0; k < depth; ++k) {
    const __m512bh b0 = (__m512bh)_mm512_loadu_ps(b + k * kBf16TileColumns), b1 = (__m512bh)_mm512_loadu_ps(b + k * kBf16TileColumns + 16);
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const __m512bh x = broadcast(a + k * kBf16TileRows + r);
      low[r] = _mm512_dpbf16_ps(low[r], x, b0);
      high[r] = _mm512_dpbf16_ps(high[r], x, b1);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
    _mm512_mask_storeu_ps(c + r * ldc, low_mask, low[r]);
    _mm512_mask_storeu_ps(c + r * ldc + 16, high_mask, high[r]);
  }
}

template <int R>
FINBACK_BF16_TARGET void rows_of(int64_t columns, int64_t depth, const float* a, const float* b, float* c, int64_t ldc, bool accumulate) {
  multiply<R>(columns, depth, a, b, c, ldc, accumulate);
}

}  // namespace

bool bf16_tile_runs_here() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512bf16");
}

void bf16_tile(int64_t rows, int64_t columns, int64_t depth, const float* a, const float* b, float* c, int64_t ldc, bool accumulate) {
  if (rows == kBf16TileRows) return rows_of<12>(columns, depth, a, b, c, ldc, accumulate);
  for (; rows >= 4; rows -= 4, a += 4, c += 4 * ldc) rows_of<4>(columns, depth, a, b, c, ldc, accumulate);
  for (; rows >= 1; rows -= 1, a += 1, c += ldc) rows_of<1>(columns, depth, a, b, c, ldc, accumulate);
}

}  // namespace finback

#else

namespace finback {

bool bf16_tile_runs_here() { return false; }
void bf16_tile(int64_t, int64_t, int64_t, const float*, const float*, float*, int64_t, bool) {}

}  // namespace finback

#endif
