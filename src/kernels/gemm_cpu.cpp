// The f32 register tile for every instruction set, from one Highway source.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>

#include "kernels/gemm_cpu.h"

HWY_BEFORE_NAMESPACE();
namespace finback {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// 32 registers of AVX-512 hold 12 x 2 accumulators, 2 columns of B and a broadcast; 16 of AVX2 hold 6 x 2.
#if HWY_TARGET == HWY_AVX3
constexpr int kRows = 12;
using F = hn::ScalableTag<float>;
#elif HWY_TARGET == HWY_AVX2
constexpr int kRows = 6;
using F = hn::ScalableTag<float>;
#else
constexpr int kRows = 4;
using F = hn::ScalableTag<float>;
#endif
constexpr F kF;
HWY_ATTR inline int64_t width() { return int64_t(2 * hn::Lanes(kF)); }

HWY_ATTR void pack_a(int64_t rows, int64_t depth, const float* HWY_RESTRICT a, int64_t row_stride, int64_t column_stride,
                     float* HWY_RESTRICT packed) {
  for (int64_t r0 = 0; r0 < rows; r0 += kRows, packed += kRows * depth) {
    const int64_t here = std::min<int64_t>(kRows, rows - r0);
    if (row_stride == 1 && here == kRows) {
      for (int64_t k = 0; k < depth; ++k) {
        for (int r = 0; r < kRows; ++r) packed[k * kRows + r] = a[r0 + r + k * column_stride];
      }
      continue;
    }
    for (int64_t r = 0; r < here; ++r) {
      const float* HWY_RESTRICT source = a + (r0 + r) * row_stride;
      for (int64_t k = 0; k < depth; ++k) packed[k * kRows + r] = source[k * column_stride];
    }
    for (int64_t r = here; r < kRows; ++r) {
      for (int64_t k = 0; k < depth; ++k) packed[k * kRows + r] = 0.0f;
    }
  }
}

HWY_ATTR void pack_b(int64_t depth, int64_t columns, const float* HWY_RESTRICT b, int64_t row_stride, int64_t column_stride,
                     float* HWY_RESTRICT packed) {
  const int64_t w = width();
  if (column_stride == 1) {
    for (int64_t k = 0; k < depth; ++k) {
      for (int64_t c = 0; c < columns; ++c) packed[k * w + c] = b[k * row_stride + c];
      for (int64_t c = columns; c < w; ++c) packed[k * w + c] = 0.0f;
    }
    return;
  }
  // A transposed source: walk it along its own rows, in pieces that keep the destination in L1.
  constexpr int64_t kPiece = 64;
  for (int64_t k0 = 0; k0 < depth; k0 += kPiece) {
    const int64_t k1 = std::min(depth, k0 + kPiece);
    for (int64_t c = 0; c < w; ++c) {
      const float* HWY_RESTRICT source = b + c * column_stride;
      for (int64_t k = k0; k < k1; ++k) packed[k * w + c] = c < columns ? source[k * row_stride] : 0.0f;
    }
  }
}

// R rows of the tile; every accumulator is one chain over k.
template <int R>
HWY_ATTR HWY_INLINE void tile(int64_t columns, int64_t depth, const float* HWY_RESTRICT a, const float* HWY_RESTRICT b,
                              float* HWY_RESTRICT c, int64_t ldc, bool accumulate) {
  const int64_t lanes = int64_t(hn::Lanes(kF));
  hn::Vec<F> low[R], high[R];
  const bool whole = columns == 2 * lanes;
  HWY_ALIGN float edge[2 * hn::MaxLanes(F())];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    if (!accumulate) {
      low[r] = high[r] = hn::Zero(kF);
    } else if (whole) {
      low[r] = hn::LoadU(kF, c + r * ldc), high[r] = hn::LoadU(kF, c + r * ldc + lanes);
    } else {
      for (int64_t j = 0; j < 2 * lanes; ++j) edge[j] = j < columns ? c[r * ldc + j] : 0.0f;
      low[r] = hn::Load(kF, edge), high[r] = hn::Load(kF, edge + lanes);
    }
  }
  for (int64_t k = 0; k < depth; ++k) {
    const auto b0 = hn::LoadU(kF, b + k * 2 * lanes), b1 = hn::LoadU(kF, b + k * 2 * lanes + lanes);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const auto x = hn::Set(kF, a[k * kRows + r]);
      low[r] = hn::MulAdd(x, b0, low[r]);
      high[r] = hn::MulAdd(x, b1, high[r]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    if (whole) {
      hn::StoreU(low[r], kF, c + r * ldc), hn::StoreU(high[r], kF, c + r * ldc + lanes);
    } else {
      hn::Store(low[r], kF, edge), hn::Store(high[r], kF, edge + lanes);
      for (int64_t j = 0; j < columns; ++j) c[r * ldc + j] = edge[j];
    }
  }
}

HWY_ATTR void block(int64_t rows, int64_t columns, int64_t depth, const float* packed_a, const float* packed_b, float* c, int64_t ldc,
                    bool accumulate) {
  int64_t r = 0;
  for (; r + kRows <= rows; r += kRows) tile<kRows>(columns, depth, packed_a + r * depth, packed_b, c + r * ldc, ldc, accumulate);
  const float* a = packed_a + r * depth;
  for (; r + 4 <= rows; r += 4, a += 4) tile<4>(columns, depth, a, packed_b, c + r * ldc, ldc, accumulate);
  for (; r + 2 <= rows; r += 2, a += 2) tile<2>(columns, depth, a, packed_b, c + r * ldc, ldc, accumulate);
  for (; r < rows; ++r, ++a) tile<1>(columns, depth, a, packed_b, c + r * ldc, ldc, accumulate);
}

HWY_ATTR const GemmTile* get_tile() {
  static const GemmTile table = {kRows, width(), pack_a, pack_b, block};
  return &table;
}

}  // namespace HWY_NAMESPACE
}  // namespace finback
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace finback {
HWY_EXPORT(get_tile);
const GemmTile& gemm_tile() { return *HWY_DYNAMIC_DISPATCH(get_tile)(); }
}  // namespace finback
#endif
