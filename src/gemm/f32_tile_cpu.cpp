// The f32 register tile for every instruction set, from one Highway source.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gemm/f32_tile_cpu.cpp"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "gemm/f32_tile_cpu.h"
#include "gemm/lanes.h"

HWY_BEFORE_NAMESPACE();
namespace finback {
namespace HWY_NAMESPACE {

// 32 registers of AVX-512 hold 12 x 2 accumulators, 2 columns of B and a broadcast; 16 of AVX2 hold 6 x 2.
#if HWY_TARGET == HWY_AVX3
constexpr int kRows = 12;
#elif HWY_TARGET == HWY_AVX2
constexpr int kRows = 6;
#else
constexpr int kRows = 4;
#endif

constexpr int64_t kLine = 16;   // floats of a cache line
constexpr int64_t kAhead = 32;  // steps of k, each at least 6 cycles

// packed[k * pitch + r] = source[r * stride + k] for `rows` source rows: 4 x 4 blocks in registers, the last block of rows overlapping the
// one before. REQUIRES: rows >= 4.
HWY_ATTR void transpose(int64_t rows, int64_t depth, const float* HWY_RESTRICT source, int64_t stride, float* HWY_RESTRICT packed,
                        int64_t pitch) {
  int64_t k = 0;
#if HWY_TARGET != HWY_SCALAR
  const hn::Full128<float> d4;
  for (; k + 4 <= depth; k += 4) {
    for (int64_t block = 0; block < rows; block += 4) {
      const int64_t r = std::min(block, rows - 4);
      const float* HWY_RESTRICT from = source + r * stride + k;
      const auto r0 = hn::LoadU(d4, from), r1 = hn::LoadU(d4, from + stride), r2 = hn::LoadU(d4, from + 2 * stride),
                 r3 = hn::LoadU(d4, from + 3 * stride);
      const auto low02 = hn::InterleaveLower(d4, r0, r2), low13 = hn::InterleaveLower(d4, r1, r3);
      const auto high02 = hn::InterleaveUpper(d4, r0, r2), high13 = hn::InterleaveUpper(d4, r1, r3);
      float* HWY_RESTRICT to = packed + k * pitch + r;
      hn::StoreU(hn::InterleaveLower(d4, low02, low13), d4, to);
      hn::StoreU(hn::InterleaveUpper(d4, low02, low13), d4, to + pitch);
      hn::StoreU(hn::InterleaveLower(d4, high02, high13), d4, to + 2 * pitch);
      hn::StoreU(hn::InterleaveUpper(d4, high02, high13), d4, to + 3 * pitch);
    }
  }
#endif
  for (; k < depth; ++k) {
    for (int64_t r = 0; r < rows; ++r) packed[k * pitch + r] = source[r * stride + k];
  }
}

HWY_ATTR void pack_a(int64_t rows, int64_t depth, const float* HWY_RESTRICT a, int64_t row_stride, int64_t column_stride,
                     float* HWY_RESTRICT packed) {
  const int64_t whole = rows / kRows * kRows;
  if (row_stride == 1) {  // walk the source along its contiguous direction
    for (int64_t k = 0; k < depth; ++k) {
      const float* HWY_RESTRICT from = a + k * column_stride;
      for (int64_t r0 = 0; r0 < whole; r0 += kRows) std::memcpy(packed + r0 * depth + k * kRows, from + r0, kRows * sizeof(float));
      for (int64_t r = whole; r < rows; ++r) packed[whole * depth + k * kRows + r - whole] = from[r];
    }
    return;
  }
  for (int64_t r0 = 0; r0 < whole; r0 += kRows) transpose(kRows, depth, a + r0 * row_stride, row_stride, packed + r0 * depth, kRows);
  for (int64_t r = whole; r < rows; ++r) {
    for (int64_t k = 0; k < depth; ++k) packed[whole * depth + k * kRows + r - whole] = a[r * row_stride + k];
  }
}

HWY_ATTR void pack_b(int64_t depth, int64_t columns, const float* HWY_RESTRICT b, int64_t row_stride, int64_t column_stride,
                     float* HWY_RESTRICT packed) {
  const int64_t w = 2 * lanes();
  if (column_stride != 1 && columns == w && w >= 4) return transpose(w, depth, b, column_stride, packed, w);
  for (int64_t k = 0; k < depth; ++k) {
    if (column_stride == 1 && columns == w) {
      hn::StoreU(hn::LoadU(kF, b + k * row_stride), kF, packed + k * w);
      hn::StoreU(hn::LoadU(kF, b + k * row_stride + lanes()), kF, packed + k * w + lanes());
      continue;
    }
    for (int64_t c = 0; c < w; ++c) packed[k * w + c] = c < columns ? b[k * row_stride + c * column_stride] : 0.0f;
  }
}

// Asks for the lines that step k + kAhead reads, and a row-major A for one line of the next tile: a tile touches a few bytes of many rows far
// apart, which no prefetcher predicts; in a training step most operands come from memory, and one wait is worth hundreds of FMAs.
template <int V, class RowStride, class KStride>
HWY_ATTR HWY_INLINE void fetch_ahead(const TileBlock& x, const float* a, int64_t k, RowStride a_row, KStride a_k) {
  const float* b = x.b + (k + kAhead) * x.ldb;
  hwy::Prefetch(b);
  if constexpr (V == 2) hwy::Prefetch(b + lanes());
  if constexpr (std::is_same_v<KStride, std::integral_constant<int64_t, 1>>) {
    hwy::Prefetch(a + x.a_tile + (k % kLine) * a_row + k / kLine * kLine);
  } else if constexpr (std::is_same_v<KStride, int64_t>) {
    hwy::Prefetch(a + (k + kAhead) * a_k);
  }
}

// R rows of A from `a` on, V vectors of columns; every accumulator is one chain over k. A pointer for every third row: an address of the
// processor adds a stride once or twice.
template <int R, int V, class RowStride, class KStride>
HWY_ATTR HWY_INLINE void tile(const TileBlock& x, const float* HWY_RESTRICT a, RowStride a_row, KStride a_k, float* HWY_RESTRICT c) {
  constexpr int kThirds = (R + 2) / 3;
  const int64_t step = lanes(), ldb = x.ldb, ldc = x.ldc, columns = x.columns;
  VecF low[R], high[R];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    low[r] = x.accumulate ? load_some(c + r * ldc, columns) : hn::Zero(kF);
    if constexpr (V == 2) high[r] = x.accumulate ? load_some(c + r * ldc + step, columns - step) : hn::Zero(kF);
  }
  const float* HWY_RESTRICT b = x.b;
  const float* row[kThirds];
#pragma GCC unroll 16
  for (int i = 0; i < kThirds; ++i) row[i] = a + 3 * i * a_row;
  for (int64_t k = 0; k < x.depth; ++k, b += ldb) {
    const auto b0 = hn::LoadU(kF, b);
    [[maybe_unused]] const auto b1 = hn::LoadU(kF, b + (V - 1) * step);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const auto value = hn::Set(kF, row[r / 3][r % 3 * a_row]);
      low[r] = hn::MulAdd(value, b0, low[r]);
      if constexpr (V == 2) high[r] = hn::MulAdd(value, b1, high[r]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < kThirds; ++i) row[i] += a_k;
    fetch_ahead<V>(x, a, k, a_row, a_k);
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    store_some(low[r], c + r * ldc, columns);
    if constexpr (V == 2) store_some(high[r], c + r * ldc + step, columns - step);
  }
}

template <int V, class RowStride, class KStride>
HWY_ATTR void rows_of_tiles(const TileBlock& x, RowStride a_row, KStride a_k) {
  const float* a = x.a;
  int64_t r = 0;
  for (; r + kRows <= x.rows; r += kRows, a += x.a_tile) tile<kRows, V>(x, a, a_row, a_k, x.c + r * x.ldc);
  for (; r + 4 <= x.rows; r += 4, a += 4 * a_row) tile<4, V>(x, a, a_row, a_k, x.c + r * x.ldc);
  for (; r + 2 <= x.rows; r += 2, a += 2 * a_row) tile<2, V>(x, a, a_row, a_k, x.c + r * x.ldc);
  for (; r < x.rows; ++r, a += a_row) tile<1, V>(x, a, a_row, a_k, x.c + r * x.ldc);
}

template <class RowStride, class KStride>
HWY_ATTR void columns_of_tiles(const TileBlock& x, RowStride a_row, KStride a_k) {
  x.columns > lanes() ? rows_of_tiles<2>(x, a_row, a_k) : rows_of_tiles<1>(x, a_row, a_k);
}

HWY_ATTR void block(const TileBlock& x) {
  const std::integral_constant<int64_t, 1> one;
  const std::integral_constant<int64_t, kRows> packed;
  if (x.a_row == 1 && x.a_k == kRows) return columns_of_tiles(x, one, packed);
  x.a_row == 1 ? columns_of_tiles(x, one, x.a_k) : columns_of_tiles(x, x.a_row, one);
}

HWY_ATTR const F32Tile* get_tile() {
  static const F32Tile table = {kRows, 2 * lanes(), pack_a, pack_b, block};
  return &table;
}

}  // namespace HWY_NAMESPACE
}  // namespace finback
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace finback {
HWY_EXPORT(get_tile);
const F32Tile& f32_tile() { return *HWY_DYNAMIC_DISPATCH(get_tile)(); }
}  // namespace finback
#endif
