#include "gemm/int8_dot_cpu.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "gemm/variant.h"

#if defined(__x86_64__)
#include "gemm/avx512.h"
#endif

// Note [Two digits]
// The instruction for bytes (vpdpbusd) multiplies unsigned by signed ones. Weights are stored as code + 128, activations are two signed digits, so a block is
// 256 sum(w' high) + sum(w' low) - 128 sum(q): integers below 2^31, the very ones that 16-bit products give where there is no such instruction.

namespace finback {
namespace {

constexpr int64_t kAhead = 3072;        // bytes: the processor's own prefetching stops at every page
constexpr float kLargest = 32512;       // 127 * 256
constexpr float kSmallest = 0x1p-100f;  // a block of smaller numbers counts as zeros

int64_t blocks_of(int64_t k) { return (k + kInt8Block - 1) / kInt8Block; }
int64_t steps_of(int64_t k, int64_t block) {
  return std::min((k - block * kInt8Block + kInt8Step - 1) / kInt8Step, kInt8Block / kInt8Step);
}

float bf16_value(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

void multiply_portable(const Int8Product& x) {
  const int64_t blocks = blocks_of(x.k);
  for (int64_t column = 0; column < x.columns; ++column) {
    const Panels panel = panel_at(x.panels, column / kInt8Width, x.k, kInt8Width);
    const int64_t lane = column % kInt8Width;
    const auto* codes = static_cast<const uint8_t*>(panel.values);
    const auto* scales = static_cast<const uint16_t*>(panel.scales);
    for (int64_t r = 0; r < x.rows; ++r) {
      float& c = x.c[r * x.ldc + column];
      float sum = x.accumulate ? c : 0;
      for (int64_t b = 0; b < blocks; ++b) {
        const Int8Block& a = x.a[r * blocks + b];
        int32_t dot = a.offset;
        for (int64_t i = 0; i < steps_of(x.k, b) * kInt8Step; ++i) {
          const int64_t step = (b * kInt8Block + i) / kInt8Step;
          dot += int32_t{a.q[size_t(i)]} * codes[(step * kInt8Width + lane) * kInt8Step + i % kInt8Step];
        }
        sum += float(dot) * (a.scale * bf16_value(scales[b * kInt8Width + lane]));
      }
      c = sum;
    }
  }
}

// `n` <= 32 numbers. To nearest even by adding what leaves no bits behind the point.
void round_block(int64_t n, const float* a, Int8Block& out) {
  constexpr float kMagic = 12582912;  // 1.5 * 2^23
  float block[kInt8Block] = {}, amax = 0;
  std::copy_n(a, n, block);
  bool finite = true;
  for (const float value : block) amax = std::max(amax, std::fabs(value)), finite &= std::isfinite(value);
  out.scale = !finite ? std::numeric_limits<float>::quiet_NaN() : amax < kSmallest ? 0 : amax / kLargest;
  int32_t sum = 0;
  for (size_t i = 0; i < size_t(kInt8Block); ++i) {
    const int32_t q = out.scale > 0 ? int32_t((block[i] / out.scale + kMagic) - kMagic) : 0;
    const int32_t low = (q & 255) - ((q & 128) << 1);
    out.q[i] = int16_t(q), out.low[i] = int8_t(low), out.high[i] = int8_t((q - low) >> 8);
    sum += q;
  }
  out.offset = -128 * sum;
}

#if defined(__x86_64__)
#define FINBACK_AVX2_TARGET __attribute__((target("avx2,fma")))
#define FINBACK_VNNI_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))

// 8 columns of a panel, whose codes of a step lie `stride` bytes apart.
FINBACK_AVX2_TARGET __m256 dot_8_columns(const Int8Block& a, int64_t steps, const uint8_t* codes, int64_t stride) {
  __m256i low = _mm256_setzero_si256(), high = low;  // of 4 columns each, two parts a column
  for (int64_t step = 0; step < steps; ++step, codes += stride) {
    long long four;
    std::copy_n(reinterpret_cast<const char*>(a.q.data() + step * kInt8Step), sizeof four, reinterpret_cast<char*>(&four));
    const __m256i q = _mm256_set1_epi64x(four);
    const __m256i w0 = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes))),
                  w1 = _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + 16)));
    low = _mm256_add_epi32(low, _mm256_madd_epi16(w0, q));
    high = _mm256_add_epi32(high, _mm256_madd_epi16(w1, q));
  }
  const __m256i sums = _mm256_permute4x64_epi64(_mm256_hadd_epi32(low, high), 0xD8);  // columns 0 to 7
  return _mm256_cvtepi32_ps(_mm256_add_epi32(sums, _mm256_set1_epi32(a.offset)));
}

FINBACK_AVX2_TARGET void multiply_avx2(const Int8Product& x) {
  const int64_t blocks = blocks_of(x.k), stride = kInt8Width * kInt8Step;
  alignas(32) float edge[8];
  for (int64_t column = 0; column < x.columns; column += 8) {
    const Panels panel = panel_at(x.panels, column / kInt8Width, x.k, kInt8Width);
    const int64_t lane = column % kInt8Width, left = std::min<int64_t>(8, x.columns - column);
    const uint8_t* codes = static_cast<const uint8_t*>(panel.values) + lane * kInt8Step;
    const uint16_t* scales = static_cast<const uint16_t*>(panel.scales) + lane;
    for (int64_t r = 0; r < x.rows; ++r) {
      float* c = x.c + r * x.ldc + column;
      std::fill_n(edge, 8, 0.0f);
      if (x.accumulate) std::copy_n(c, left, edge);
      __m256 sum = _mm256_load_ps(edge);
      for (int64_t b = 0; b < blocks; ++b) {
        const Int8Block& a = x.a[r * blocks + b];
        const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(scales + b * kInt8Width));
        const __m256 scale = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
        const __m256 dot = dot_8_columns(a, steps_of(x.k, b), codes + b * kInt8Block / kInt8Step * stride, stride);
        sum = _mm256_fmadd_ps(dot, _mm256_mul_ps(_mm256_set1_ps(a.scale), scale), sum);
      }
      _mm256_store_ps(edge, sum);
      std::copy_n(edge, left, c);
    }
  }
}

FINBACK_VNNI_TARGET inline __m512i step_of(const std::array<int8_t, kInt8Block>& digits, int64_t step) {
  int32_t four;
  std::copy_n(reinterpret_cast<const char*>(digits.data() + step * kInt8Step), sizeof four, reinterpret_cast<char*>(&four));
  return _mm512_set1_epi32(four);
}

constexpr int kVectors = int(kInt8Width / 16);  // of 16 columns: a panel

// R rows of one panel.
template <int R>
FINBACK_VNNI_TARGET void vnni_tile(const Int8Product& x, int64_t row, int64_t column, const Panels& panel) {
  const int64_t blocks = blocks_of(x.k);
  const Int8Block* a = x.a + row * blocks;
  const auto* codes = static_cast<const uint8_t*>(panel.values);
  const auto* scales = static_cast<const uint16_t*>(panel.scales);
  float* c = x.c + row * x.ldc + column;
  __m512 sum[R][kVectors];
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      const __mmask16 mask = x.accumulate ? first_lanes(x.columns - column - v * 16) : 0;
      sum[r][v] = _mm512_maskz_loadu_ps(mask, c + r * x.ldc + v * 16);
    }
  }
  for (int64_t b = 0; b < blocks; ++b, scales += kVectors * 16) {
    __m512i high[R][kVectors], low[R][kVectors];
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) high[r][v] = _mm512_setzero_si512(), low[r][v] = _mm512_set1_epi32(a[r * blocks + b].offset);
    }
    const int64_t steps = steps_of(x.k, b);
    for (int64_t step = 0; step < steps; ++step, codes += kVectors * 64) {
      const __m512i w[kVectors] = {_mm512_loadu_si512(codes), _mm512_loadu_si512(codes + 64)};
      __builtin_prefetch(codes + kAhead);
      __builtin_prefetch(codes + kAhead + 64);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        const __m512i h = step_of(a[r * blocks + b].high, step), l = step_of(a[r * blocks + b].low, step);
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) {
          high[r][v] = _mm512_dpbusd_epi32(high[r][v], w[v], h);
          low[r][v] = _mm512_dpbusd_epi32(low[r][v], w[v], l);
        }
      }
    }
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(scales + v * 16));
      const __m512 scale = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        const __m512 dot = _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_slli_epi32(high[r][v], 8), low[r][v]));
        sum[r][v] = _mm512_fmadd_ps(dot, _mm512_mul_ps(_mm512_set1_ps(a[r * blocks + b].scale), scale), sum[r][v]);
      }
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) _mm512_mask_storeu_ps(c + r * x.ldc + v * 16, first_lanes(x.columns - column - v * 16), sum[r][v]);
  }
}

// One panel after the other: a single run of addresses is read faster than two. Up to 8 rows read it from memory once.
FINBACK_VNNI_TARGET void multiply_vnni(const Int8Product& x) {
  for (int64_t column = 0; column < x.columns; column += kInt8Width) {
    const Panels panel = panel_at(x.panels, column / kInt8Width, x.k, kInt8Width);
    int64_t row = 0;
    for (; row + 4 <= x.rows; row += 4) vnni_tile<4>(x, row, column, panel);
    for (; row + 2 <= x.rows; row += 2) vnni_tile<2>(x, row, column, panel);
    for (; row < x.rows; ++row) vnni_tile<1>(x, row, column, panel);
  }
}

// The same numbers as round_block.
FINBACK_VNNI_TARGET void round_block_avx512(int64_t n, const float* a, Int8Block& out) {
  const __m512 x[2] = {_mm512_maskz_loadu_ps(first_lanes(n), a), _mm512_maskz_loadu_ps(first_lanes(n - 16), a + 16)};
  const __m512 infinity = _mm512_set1_ps(std::numeric_limits<float>::infinity()), size[2] = {_mm512_abs_ps(x[0]), _mm512_abs_ps(x[1])};
  const bool finite = (_mm512_cmp_ps_mask(size[0], infinity, _CMP_LT_OQ) & _mm512_cmp_ps_mask(size[1], infinity, _CMP_LT_OQ)) == 0xffff;
  const float amax = _mm512_reduce_max_ps(_mm512_max_ps(size[0], size[1]));
  out.scale = !finite ? std::numeric_limits<float>::quiet_NaN() : amax < kSmallest ? 0 : amax / kLargest;
  __m512i sum = _mm512_setzero_si512();
  for (size_t i = 0; i < 2; ++i) {
    const __m512i q = out.scale > 0 ? _mm512_cvtps_epi32(_mm512_div_ps(x[i], _mm512_set1_ps(out.scale))) : _mm512_setzero_si512();
    const __m512i low = _mm512_srai_epi32(_mm512_slli_epi32(q, 24), 24), high = _mm512_srai_epi32(_mm512_sub_epi32(q, low), 8);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out.q.data() + 16 * i), _mm512_cvtepi32_epi16(q));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out.low.data() + 16 * i), _mm512_cvtepi32_epi8(low));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out.high.data() + 16 * i), _mm512_cvtepi32_epi8(high));
    sum = _mm512_add_epi32(sum, q);
  }
  out.offset = -128 * _mm512_reduce_add_epi32(sum);
}

bool runs_vnni() {
  static const bool has = [] {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
  }();
  return has && (kernel_variant() == Variant::kAvx512Bf16 || kernel_variant() == Variant::kAvx512Fp16);
}
#endif

}  // namespace

void quantize_blocks(int64_t n, const float* a, Int8Block* blocks) {
  void (*round)(int64_t, const float*, Int8Block&) = round_block;
#if defined(__x86_64__)
  if (runs_vnni()) round = round_block_avx512;
#endif
  for (int64_t first = 0; first < n; first += kInt8Block) round(std::min(kInt8Block, n - first), a + first, *blocks++);
}

void int8_multiply(const Int8Product& x) {
#if defined(__x86_64__)
  if (runs_vnni()) return multiply_vnni(x);
  if (kernel_variant() != Variant::kPortable) return multiply_avx2(x);
#endif
  multiply_portable(x);
}

}  // namespace finback
