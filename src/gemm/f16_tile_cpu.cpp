#include "gemm/f16_tile_cpu.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <type_traits>

// clang 14, which builds the fuzz targets, has no such intrinsics.
#if defined(__x86_64__) && (!defined(__clang__) || __clang_major__ >= 16)
#include "gemm/avx512.h"

namespace finback {
namespace {

#define FINBACK_PACK_TARGET __attribute__((target("avx512f,avx512bw,avx512vl")))
#define FINBACK_HALF_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512fp16")))

// The sums of 16 columns onto c: ((first + second) * left) * right + c.
FINBACK_HALF_TARGET inline void promote(__m512h sums, __m512 left, __m512 right, __mmask16 mask, float* c, bool accumulate) {
  const __m512i words = _mm512_castph_si512(sums);
  const __m512 first = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(words)),
               second = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(words, 16)));
  const __m512 before = accumulate ? _mm512_maskz_loadu_ps(mask, c) : _mm512_setzero_ps();
  _mm512_mask_storeu_ps(c, mask, _mm512_fmadd_ps(_mm512_mul_ps(_mm512_add_ps(first, second), left), right, before));
}

// R rows of A from `a` on. A pointer for every third row: an address of the processor adds a stride once or twice.
template <int R, class RowStride, class KStride>
FINBACK_HALF_TARGET void tile(const TileBlock& x, const float* a, RowStride a_row, KStride a_k, float* c) {
  constexpr int kThirds = (R + 2) / 3;
  __m512h low[R], high[R];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) low[r] = high[r] = _mm512_setzero_ph();
  const float* b = x.b + x.ldb;
  const float* row[kThirds];
#pragma GCC unroll 4
  for (int i = 0; i < kThirds; ++i) row[i] = a + 3 * i * a_row + a_k;
  for (int64_t k = 1; k < x.depth; ++k, b += x.ldb) {
    const __m512h b0 = _mm512_loadu_ph(b), b1 = _mm512_loadu_ph(b + 16);
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const __m512h word = _mm512_castps_ph(_mm512_set1_ps(row[r / 3][r % 3 * a_row]));
      low[r] = _mm512_fmadd_ph(word, b0, low[r]);
      high[r] = _mm512_fmadd_ph(word, b1, high[r]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < kThirds; ++i) row[i] += a_k;
  }
  const __m512 right0 = _mm512_loadu_ps(x.b), right1 = _mm512_loadu_ps(x.b + 16);
  const __mmask16 mask0 = first_lanes(x.columns), mask1 = first_lanes(x.columns - 16);
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
    const __m512 left = _mm512_set1_ps(a[r * a_row]);
    promote(low[r], left, right0, mask0, c + r * x.ldc, x.accumulate);
    promote(high[r], left, right1, mask1, c + r * x.ldc + 16, x.accumulate);
  }
}

template <class RowStride, class KStride>
FINBACK_HALF_TARGET void rows_of_tiles(const TileBlock& x, RowStride a_row, KStride a_k) {
  const float* a = x.a;
  int64_t r = 0;
  for (; r + kF16TileRows <= x.rows; r += kF16TileRows, a += x.a_tile) tile<kF16TileRows>(x, a, a_row, a_k, x.c + r * x.ldc);
  for (; r + 4 <= x.rows; r += 4, a += 4 * a_row) tile<4>(x, a, a_row, a_k, x.c + r * x.ldc);
  for (; r < x.rows; ++r, a += a_row) tile<1>(x, a, a_row, a_k, x.c + r * x.ldc);
}

FINBACK_PACK_TARGET inline __m512 magnitude(__mmask16 mask, const float* x) {
  const __m512 value = _mm512_abs_ps(_mm512_maskz_loadu_ps(mask, x));
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(value, value, _CMP_ORD_Q), value);
}

FINBACK_PACK_TARGET float row_scale(int64_t n, const float* x) {
  __m512 most = _mm512_setzero_ps();
  for (int64_t i = 0; i < n; i += 16) most = _mm512_max_ps(most, magnitude(first_lanes(n - i), x + i));
  return f16_scale(_mm512_reduce_max_ps(most));
}

// 16 numbers over a scale, as f16.
FINBACK_PACK_TARGET inline __m256i as_f16(__m512 x, __m512 inverse) {
  return _mm512_cvtps_ph(_mm512_mul_ps(x, inverse), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

}  // namespace

bool f16_tile_runs_here() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512fp16");
}

void f16_tile(const TileBlock& x) {
  const std::integral_constant<int64_t, 1> one;
  const std::integral_constant<int64_t, kF16TileRows> packed;
  x.a_k == 1 ? rows_of_tiles(x, x.a_row, one) : rows_of_tiles(x, one, packed);
}

FINBACK_PACK_TARGET void pair_f16(int64_t n, const float* x, float* words) {
  words[0] = row_scale(n, x);
  const __m512 inverse = _mm512_set1_ps(1 / words[0]);
  for (int64_t i = 0; i < n; i += 32) {
    const __m256i first = as_f16(_mm512_maskz_loadu_ps(first_lanes(n - i), x + i), inverse),
                  second = as_f16(_mm512_maskz_loadu_ps(first_lanes(n - i - 16), x + i + 16), inverse);
    _mm512_mask_storeu_epi32(words + 1 + i / 2, first_lanes((n - i + 1) / 2), _mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1));
  }
}

FINBACK_PACK_TARGET void column_f16_scales(int64_t rows, int64_t columns, const float* x, int64_t pitch, float* scales, float* inverses) {
  for (int64_t c = 0; c < columns; c += 16) {
    const __mmask16 mask = first_lanes(columns - c);
    __m512 most = _mm512_setzero_ps();
    for (int64_t r = 0; r < rows; ++r) most = _mm512_max_ps(most, magnitude(mask, x + r * pitch + c));
    alignas(64) float amax[16];
    _mm512_store_ps(amax, most);
    for (int64_t i = 0; i < std::min<int64_t>(16, columns - c); ++i) {
      scales[c + i] = f16_scale(amax[i]);
      inverses[c + i] = 1 / scales[c + i];
    }
  }
}

FINBACK_PACK_TARGET void f16_words(int64_t columns, const float* low, const float* high, const float* inverses, float* words) {
  for (int64_t c = 0; c < columns; c += 16) {
    const __mmask16 mask = first_lanes(columns - c);
    const __m512 inverse = _mm512_maskz_loadu_ps(mask, inverses + c);
    const __m512i first = _mm512_cvtepu16_epi32(as_f16(_mm512_maskz_loadu_ps(mask, low + c), inverse)),
                  second = _mm512_cvtepu16_epi32(as_f16(_mm512_maskz_loadu_ps(mask, high + c), inverse));
    _mm512_mask_storeu_epi32(words + c, mask, _mm512_or_si512(first, _mm512_slli_epi32(second, 16)));
  }
}

}  // namespace finback

#else

namespace finback {

bool f16_tile_runs_here() { return false; }
void f16_tile(const TileBlock&) {}
void pair_f16(int64_t, const float*, float*) {}
void column_f16_scales(int64_t, int64_t, const float*, int64_t, float*, float*) {}
void f16_words(int64_t, const float*, const float*, const float*, float*) {}

}  // namespace finback

#endif

namespace finback {

float f16_scale(float amax) {
  if (!(amax > 0) || std::isinf(amax)) return 1;
  // The exponent alone: a bf16 number too.
  return std::clamp(std::bit_cast<float>(std::bit_cast<uint32_t>(amax) & 0x7f800000u), 0x1p-126f, 0x1p126f);
}

}  // namespace finback
