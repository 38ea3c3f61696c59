// Few rows times stored panels for every instruction set, from one Highway source.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gemm/panel_stream_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <hwy/cache_control.h>

#include <algorithm>

#include "gemm/lanes.h"
#include "gemm/panel_stream_cpu.h"

// Note [Streaming panels]
// With one row every number of B is used once, so the loop must keep up with memory. Four vectors of columns (two panels) make four independent
// chains: their FMA latency is hidden, and two long runs of addresses are easy to prefetch. Rows beyond the first four read the panels again,
// out of the cache by then.

#ifndef FINBACK_GEMM_PANEL_STREAM_ONCE
#define FINBACK_GEMM_PANEL_STREAM_ONCE
namespace finback {
// How many numbers along K share a scale (all: a block that never ends).
constexpr int64_t kNoScale = int64_t{1} << 62;
constexpr int64_t kAhead = 3072;  // bytes: the processor's own prefetching stops at every page
constexpr int64_t scale_block(Precision p) { return p == Precision::kFp8 ? 128 : kNoScale; }
}  // namespace finback
#endif

HWY_BEFORE_NAMESPACE();
namespace finback {
namespace HWY_NAMESPACE {

using Bytes = hn::Rebind<int8_t, F>;
using Ints = hn::Rebind<int32_t, F>;
using Halves = hn::Rebind<hwy::bfloat16_t, F>;

// One vector of numbers at p; scale as load_scale made it.
template <Precision P>
HWY_ATTR HWY_INLINE VecF load_stored(const uint8_t* HWY_RESTRICT p, [[maybe_unused]] VecF scale) {
  if constexpr (P == Precision::kF32) {
    return hn::LoadU(kF, reinterpret_cast<const float*>(p));
  } else if constexpr (P == Precision::kBf16) {
    return hn::PromoteTo(kF, hn::LoadU(Halves(), reinterpret_cast<const hwy::bfloat16_t*>(p)));
  } else {
    const auto code = hn::PromoteTo(Ints(), hn::LoadU(Bytes(), reinterpret_cast<const int8_t*>(p)));
    // E4M3's exponent and mantissa below a f32 sign: the number times 2^-120, exactly, subnormal ones too.
    return hn::Mul(hn::BitCast(kF, hn::And(hn::ShiftLeft<20>(code), hn::Set(Ints(), int32_t(0x87F00000u)))), scale);
  }
}

// The scale of vector v (0 or 1) of a panel in block `block` along K.
template <Precision P>
HWY_ATTR HWY_INLINE VecF load_scale([[maybe_unused]] const void* scales, [[maybe_unused]] int64_t block, [[maybe_unused]] int64_t v) {
  if constexpr (P == Precision::kFp8) {
    return hn::Set(kF, static_cast<const float*>(scales)[block] * 0x1p120f);
  } else {
    return hn::Zero(kF);
  }
}

// R rows, V vectors of columns: two a panel. Every accumulator is one chain over k.
template <Precision P, int R, int V>
HWY_ATTR HWY_INLINE void stream_tile(const StreamRows& x, int64_t row, int64_t column, int64_t columns, const Panels* panels) {
  const int64_t step = lanes(), row_bytes = 2 * step * value_bytes(P), half = step * value_bytes(P);
  const float* HWY_RESTRICT a = x.a_MK.data + row * x.a_MK.row_stride;
  float* HWY_RESTRICT c = x.c_MN + row * x.ldc + column;
  const uint8_t* HWY_RESTRICT values[2] = {static_cast<const uint8_t*>(panels[0].values),
                                           static_cast<const uint8_t*>(panels[V > 2 ? 1 : 0].values)};
  VecF sum[R][V], scale[V];
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const int64_t left = columns - v * step;
      sum[r][v] = x.accumulate && left > 0 ? load_some(c + r * x.ldc + v * step, left) : hn::Zero(kF);
    }
  }
  for (int64_t k0 = 0, block = 0; k0 < x.depth; ++block) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) scale[v] = load_scale<P>(panels[v / 2].scales, block, v % 2);
    const int64_t end = x.depth - k0 > scale_block(P) ? k0 + scale_block(P) : x.depth;
    for (; k0 < end; ++k0, values[0] += row_bytes, values[1] += row_bytes) {
      for (int pair = 0; pair < V / 2; ++pair) hwy::Prefetch(values[pair] + kAhead);
      VecF b[V];
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) b[v] = load_stored<P>(values[v / 2] + v % 2 * half, scale[v]);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        const auto broadcast = hn::Set(kF, a[r * x.a_MK.row_stride + k0 * x.a_MK.column_stride]);
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) sum[r][v] = hn::MulAdd(broadcast, b[v], sum[r][v]);
      }
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      if (const int64_t left = columns - v * step; left > 0) store_some(sum[r][v], c + r * x.ldc + v * step, left);
    }
  }
}

template <Precision P, int V>
HWY_ATTR void stream_rows(const StreamRows& x, int64_t column, int64_t columns, const Panels* panels) {
  int64_t row = 0;
  for (; row + 4 <= x.rows; row += 4) stream_tile<P, 4, V>(x, row, column, columns, panels);
  if (row + 2 <= x.rows) {
    stream_tile<P, 2, V>(x, row, column, columns, panels);
    row += 2;
  }
  if (row < x.rows) stream_tile<P, 1, V>(x, row, column, columns, panels);
}

template <Precision P>
HWY_ATTR void multiply_stored(const StreamRows& x, int64_t columns, const Panels& panels) {
  const int64_t width = 2 * lanes();
  for (int64_t column = 0; column < columns; column += 2 * width) {
    const int64_t index = column / width;
    const Panels pair[2] = {panel_at(panels, index, x.depth, width), panel_at(panels, index + 1, x.depth, width)};
    const bool two = column + width < columns;
    two ? stream_rows<P, 4>(x, column, columns - column, pair) : stream_rows<P, 2>(x, column, columns - column, pair);
  }
}

HWY_ATTR void multiply(const StreamRows& x, int64_t columns, const Panels& panels) {
  switch (panels.precision) {
    case Precision::kF32:
      return multiply_stored<Precision::kF32>(x, columns, panels);
    case Precision::kBf16:
      return multiply_stored<Precision::kBf16>(x, columns, panels);
    case Precision::kFp8:
      return multiply_stored<Precision::kFp8>(x, columns, panels);
    case Precision::kInt8:
      return;  // int8_gemm's
  }
}

template <Precision P>
HWY_ATTR void widen_stored(int64_t k0, int64_t depth, const Panels& panel, float* HWY_RESTRICT out) {
  const int64_t step = lanes(), half = step * value_bytes(P);
  const uint8_t* HWY_RESTRICT values = static_cast<const uint8_t*>(panel.values) + k0 * 2 * half;
  for (int64_t k = k0; k < k0 + depth;) {
    const auto low = load_scale<P>(panel.scales, k / scale_block(P), 0), high = load_scale<P>(panel.scales, k / scale_block(P), 1);
    const int64_t left = k0 + depth - k, end = left > scale_block(P) ? k + scale_block(P) : k + left;
    for (; k < end; ++k, values += 2 * half, out += 2 * step) {
      hn::StoreU(load_stored<P>(values, low), kF, out);
      hn::StoreU(load_stored<P>(values + half, high), kF, out + step);
    }
  }
}

HWY_ATTR void widen(int64_t k0, int64_t depth, const Panels& panel, float* out) {
  switch (panel.precision) {
    case Precision::kF32:
      return widen_stored<Precision::kF32>(k0, depth, panel, out);
    case Precision::kBf16:
      return widen_stored<Precision::kBf16>(k0, depth, panel, out);
    case Precision::kFp8:
      return widen_stored<Precision::kFp8>(k0, depth, panel, out);
    case Precision::kInt8:
      return;
  }
}

HWY_ATTR const PanelStream* get_panel_stream() {
  static const PanelStream table = {multiply, widen};
  return &table;
}

}  // namespace HWY_NAMESPACE
}  // namespace finback
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace finback {
HWY_EXPORT(get_panel_stream);
const PanelStream& panel_stream() { return *HWY_DYNAMIC_DISPATCH(get_panel_stream)(); }
}  // namespace finback
#endif
