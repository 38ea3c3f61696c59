#include "kernels/half_tile_cpu.h"

#include <algorithm>
#include <bit>
#include <cmath>

// Target attributes instead of flags for the file: nothing that the linker may share with other files is compiled with AVX-512.
// clang 14, which builds the fuzz targets, has no such intrinsics.
#if defined(__x86_64__) && (!defined(__clang__) || __clang_major__ >= 16)
// g++ 12's header leaves registers undefined on purpose and is warned of it where it is inlined.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop

namespace finback {
namespace {

#define FINBACK_PACK_TARGET __attribute__((target("avx512f,avx512bw,avx512vl")))
#define FINBACK_HALF_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512fp16")))

constexpr int64_t kRightWords = kHalfTileColumns / 2;

__mmask16 first_lanes(int64_t n) { return n >= 16 ? __mmask16(0xffff) : n <= 0 ? __mmask16(0) : __mmask16((1u << n) - 1); }

// 16 bf16 numbers as f32.
FINBACK_HALF_TARGET inline __m512 widen_scales(const float* words) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(words))), 16));
}

// 16 of a row's sums onto c: (sum * left) * right + c.
FINBACK_HALF_TARGET inline void promote(__m256i sums, float left, __m512 right, int64_t columns, float* c, bool accumulate) {
  const __mmask16 mask = first_lanes(columns);
  const __m512 before = accumulate ? _mm512_maskz_loadu_ps(mask, c) : _mm512_setzero_ps();
  const __m512 scaled = _mm512_mul_ps(_mm512_cvtph_ps(sums), _mm512_set1_ps(left));
  _mm512_mask_storeu_ps(c, mask, _mm512_fmadd_ps(scaled, right, before));
}

// R rows, V vectors of 32 columns.
template <int R, int V>
FINBACK_HALF_TARGET void tile(int64_t columns, int64_t depth, const float* left, const float* right, float* c, int64_t ldc,
                              bool accumulate) {
  __m512h sum[R][V];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) sum[r][v] = _mm512_setzero_ph();
  }
  const float *a = left + kHalfTileRows, *b = right + kRightWords;
  for (int64_t k = 0; k < depth; ++k, a += kHalfTileRows, b += kRightWords) {
    const __m512h b0 = _mm512_loadu_ph(b), b1 = _mm512_loadu_ph(b + (V - 1) * 16);
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const __m512h x = _mm512_castps_ph(_mm512_set1_ps(a[r]));
      sum[r][0] = _mm512_fmadd_ph(x, b0, sum[r][0]);
      if constexpr (V == 2) sum[r][1] = _mm512_fmadd_ph(x, b1, sum[r][1]);
    }
  }
#pragma GCC unroll 2
  for (int v = 0; v < V; ++v) {
    const __m512 low = widen_scales(right + v * 16), high = widen_scales(right + v * 16 + 8);
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const __m512i halves = _mm512_castph_si512(sum[r][v]);
      const float scale = std::bit_cast<float>(std::bit_cast<uint32_t>(left[r]) & 0xffff0000u);
      promote(_mm512_castsi512_si256(halves), scale, low, columns - v * 32, c + r * ldc + v * 32, accumulate);
      promote(_mm512_extracti64x4_epi64(halves, 1), scale, high, columns - v * 32 - 16, c + r * ldc + v * 32 + 16, accumulate);
    }
  }
}

template <int V>
void rows_of_tiles(int64_t rows, int64_t columns, int64_t depth, const float* left, const float* right, float* c, int64_t ldc,
                   bool accumulate) {
  if (rows == kHalfTileRows) return tile<12, V>(columns, depth, left, right, c, ldc, accumulate);
  for (; rows >= 4; rows -= 4, left += 4, c += 4 * ldc) tile<4, V>(columns, depth, left, right, c, ldc, accumulate);
  for (; rows >= 1; rows -= 1, left += 1, c += ldc) tile<1, V>(columns, depth, left, right, c, ldc, accumulate);
}

// Of both scales: bf16 numbers, the first in the low half.
float scale_word(float first, float second) {
  return std::bit_cast<float>((std::bit_cast<uint32_t>(first) >> 16) | (std::bit_cast<uint32_t>(second) & 0xffff0000u));
}

FINBACK_PACK_TARGET inline __m512 magnitude(__mmask16 mask, const float* x) {
  const __m512 value = _mm512_abs_ps(_mm512_maskz_loadu_ps(mask, x));
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(value, value, _CMP_ORD_Q), value);
}

FINBACK_PACK_TARGET float row_scale(int64_t n, const float* x) {
  __m512 most = _mm512_setzero_ps();
  for (int64_t i = 0; i < n; i += 16) most = _mm512_max_ps(most, magnitude(first_lanes(n - i), x + i));
  return half_scale(_mm512_reduce_max_ps(most));
}

// 16 numbers as halves in the low 16 bits of 32.
FINBACK_PACK_TARGET inline __m512i halves(__m512 x) {
  return _mm512_cvtepu16_epi32(_mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

}  // namespace

bool half_tile_runs_here() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512fp16");
}

void half_tile(int64_t rows, int64_t columns, int64_t depth, const float* left, const float* right, float* c, int64_t ldc,
               bool accumulate) {
  columns > 32 ? rows_of_tiles<2>(rows, columns, depth, left, right, c, ldc, accumulate)
               : rows_of_tiles<1>(rows, columns, depth, left, right, c, ldc, accumulate);
}

FINBACK_PACK_TARGET void pair_halves(int64_t n, const float* first, const float* second, float* words) {
  const float low = row_scale(n, first), high = first == second ? low : row_scale(n, second);
  words[0] = scale_word(low, high);
  const __m512 over_low = _mm512_set1_ps(1 / low), over_high = _mm512_set1_ps(1 / high);
  for (int64_t i = 0; i < n; i += 16) {
    const __mmask16 mask = first_lanes(n - i);
    const __m512i a = halves(_mm512_mul_ps(_mm512_maskz_loadu_ps(mask, first + i), over_low));
    const __m512i b = halves(_mm512_mul_ps(_mm512_maskz_loadu_ps(mask, second + i), over_high));
    _mm512_mask_storeu_epi32(words + 1 + i, mask, _mm512_or_si512(a, _mm512_slli_epi32(b, 16)));
  }
}

FINBACK_PACK_TARGET void column_half_scales(int64_t rows, int64_t columns, const float* x, int64_t pitch, float* scales, float* inverses) {
  for (int64_t c = 0; c < columns; c += 16) {
    const __mmask16 mask = first_lanes(columns - c);
    __m512 most = _mm512_setzero_ps();
    for (int64_t r = 0; r < rows; ++r) most = _mm512_max_ps(most, magnitude(mask, x + r * pitch + c));
    alignas(64) float amax[16];
    _mm512_store_ps(amax, most);
    for (int64_t i = 0; i < std::min<int64_t>(16, columns - c); ++i) {
      scales[c + i] = half_scale(amax[i]);
      inverses[c + i] = 1 / scales[c + i];
    }
  }
}

void scale_words(int64_t columns, const float* scales, bool paired, float* words) {
  for (int64_t c = 0; c < columns; c += paired ? 2 : 1) *words++ = scale_word(scales[c], scales[paired ? c + 1 : c]);
}

FINBACK_PACK_TARGET void half_words(int64_t columns, const float* x, const float* inverses, bool paired, float* words) {
  for (int64_t c = 0; c < columns; c += 16) {
    const __mmask16 mask = first_lanes(columns - c);
    const __m512 value = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x + c), _mm512_maskz_loadu_ps(mask, inverses + c));
    if (paired) {
      const __m256i packed = _mm512_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
      _mm256_mask_storeu_epi32(words + c / 2, __mmask8((1u << std::min<int64_t>(8, (columns - c) / 2)) - 1), packed);
    } else {
      const __m512i once = halves(value);
      _mm512_mask_storeu_epi32(words + c, mask, _mm512_or_si512(once, _mm512_slli_epi32(once, 16)));
    }
  }
}

}  // namespace finback

#else

namespace finback {

bool half_tile_runs_here() { return false; }
void half_tile(int64_t, int64_t, int64_t, const float*, const float*, float*, int64_t, bool) {}
void pair_halves(int64_t, const float*, const float*, float*) {}
void column_half_scales(int64_t, int64_t, const float*, int64_t, float*, float*) {}
void scale_words(int64_t, const float*, bool, float*) {}
void half_words(int64_t, const float*, const float*, bool, float*) {}

}  // namespace finback

#endif

namespace finback {

float half_scale(float amax) {
  if (!(amax > 0) || std::isinf(amax)) return 1;
  // The exponent alone: a bf16 number too.
  return std::clamp(std::bit_cast<float>(std::bit_cast<uint32_t>(amax) & 0x7f800000u), 0x1p-126f, 0x1p126f);
}

}  // namespace finback
