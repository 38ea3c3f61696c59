#include "gemm/bf16_tile_cpu.h"

#if defined(__x86_64__)
#include <type_traits>

#include "gemm/avx512.h"

namespace finback {
namespace {

#define FINBACK_BF16_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))

// One word of a in every lane. A vector load with embedded broadcast: the pair never passes a general register.
FINBACK_BF16_TARGET inline __m512bh broadcast(const float* word) { return (__m512bh)_mm512_set1_ps(*word); }

// R rows of A from `a` on. A pointer for every third row: an address of the processor adds a stride once or twice.
template <int R, class RowStride, class KStride>
FINBACK_BF16_TARGET void tile(const TileBlock& x, const float* a, RowStride a_row, KStride a_k, float* c) {
  constexpr int kThirds = (R + 2) / 3;
  const __mmask16 low_mask = first_lanes(x.columns), high_mask = first_lanes(x.columns - 16);
  __m512 low[R], high[R];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
    low[r] = x.accumulate ? _mm512_maskz_loadu_ps(low_mask, c + r * x.ldc) : _mm512_setzero_ps();
    high[r] = x.accumulate ? _mm512_maskz_loadu_ps(high_mask, c + r * x.ldc + 16) : _mm512_setzero_ps();
  }
  const float* b = x.b;
  const float* row[kThirds];
#pragma GCC unroll 4
  for (int i = 0; i < kThirds; ++i) row[i] = a + 3 * i * a_row;
  for (int64_t k = 0; k < x.depth; ++k, b += x.ldb) {
    const __m512bh b0 = (__m512bh)_mm512_loadu_ps(b), b1 = (__m512bh)_mm512_loadu_ps(b + 16);
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const __m512bh word = broadcast(row[r / 3] + r % 3 * a_row);
      low[r] = _mm512_dpbf16_ps(low[r], word, b0);
      high[r] = _mm512_dpbf16_ps(high[r], word, b1);
    }
#pragma GCC unroll 4
    for (int i = 0; i < kThirds; ++i) row[i] += a_k;
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
    _mm512_mask_storeu_ps(c + r * x.ldc, low_mask, low[r]);
    _mm512_mask_storeu_ps(c + r * x.ldc + 16, high_mask, high[r]);
  }
}

template <class RowStride, class KStride>
FINBACK_BF16_TARGET void rows_of_tiles(const TileBlock& x, RowStride a_row, KStride a_k) {
  const float* a = x.a;
  int64_t r = 0;
  for (; r + kBf16TileRows <= x.rows; r += kBf16TileRows, a += x.a_tile) tile<kBf16TileRows>(x, a, a_row, a_k, x.c + r * x.ldc);
  for (; r + 4 <= x.rows; r += 4, a += 4 * a_row) tile<4>(x, a, a_row, a_k, x.c + r * x.ldc);
  for (; r < x.rows; ++r, a += a_row) tile<1>(x, a, a_row, a_k, x.c + r * x.ldc);
}

}  // namespace

bool bf16_tile_runs_here() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512bf16");
}

void bf16_tile(const TileBlock& x) {
  const std::integral_constant<int64_t, 1> one;
  const std::integral_constant<int64_t, kBf16TileRows> packed;
  x.a_k == 1 ? rows_of_tiles(x, x.a_row, one) : rows_of_tiles(x, one, packed);
}

}  // namespace finback

#else

namespace finback {

bool bf16_tile_runs_here() { return false; }
void bf16_tile(const TileBlock&) {}

}  // namespace finback

#endif
