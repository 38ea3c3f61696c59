// What both attentions are made of, for one instruction set: a register-tiled product whose columns are queries, and one block of the
// online softmax down such columns. Included inside foreach_target files, once a target. Knows no tensors and no threads.
// See Note [Queries in lanes].
#if defined(FINBACK_KERNELS_ATTENTION_TILE_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef FINBACK_KERNELS_ATTENTION_TILE_H_
#undef FINBACK_KERNELS_ATTENTION_TILE_H_
#else
#define FINBACK_KERNELS_ATTENTION_TILE_H_
#endif

#include <hwy/aligned_allocator.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "gemm/lanes.h"
#include "gemm/vector_exp.h"

// Note [Queries in lanes]
// Scores are kept transposed, [key][query]: a lane is one query from q * k to the last p * v. Then the softmax needs no sum across lanes,
// its result p is already the right operand of the next product, keys and values are broadcast from row-major memory without packing, and
// a query's bits cannot depend on its neighbours: every score and every output is one chain of FMAs in key order (Note [One FMA chain]),
// carried in f32 from block to block; the sum of p has four partial sums by key index modulo 4. A key that a query does not see adds
// p = 0 to these.

HWY_BEFORE_NAMESPACE();
namespace finback {
namespace HWY_NAMESPACE {
namespace attention {
namespace hn = hwy::HWY_NAMESPACE;

constexpr int64_t kKeys = 64;  // a block of keys, counted from the sequence's start

// 32 registers of AVX-512 hold 12 x 2 accumulators, 16 of AVX2 6 x 2; one vector of columns takes twice the rows to hide FMA latency.
#if HWY_TARGET == HWY_AVX3
constexpr int kRows = 12, kRowsNarrow = 12;
#elif HWY_TARGET == HWY_AVX2
constexpr int kRows = 6, kRowsNarrow = 12;
#else
constexpr int kRows = 4, kRowsNarrow = 8;
#endif

// c[rows, columns] (+)= a[rows, depth] * b[depth, columns]. a's element (r, k) is a[r * a_row + k * a_k]; b and c are row-major with row
// strides ldb and ldc. columns is a multiple of the vector width.
struct Product {
  int64_t rows, columns, depth;
  const float* a;
  int64_t a_row, a_k;
  const float* b;
  int64_t ldb;
  float* c;
  int64_t ldc;
  bool accumulate;
};

// The loops over R are unrolled by force: g++ -O2 would keep the accumulators in memory.
template <int R, int kVectors, class D, class Stride>
HWY_INLINE void product_tile(D d, const Product& x, Stride a_row, const float* HWY_RESTRICT a, const float* HWY_RESTRICT b,
                             float* HWY_RESTRICT c) {
  const int64_t lanes = int64_t(hn::Lanes(d));
  hn::Vec<D> low[R], high[R];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    low[r] = x.accumulate ? hn::LoadU(d, c + r * x.ldc) : hn::Zero(d);
    if (kVectors == 2) high[r] = x.accumulate ? hn::LoadU(d, c + r * x.ldc + lanes) : hn::Zero(d);
  }
  for (int64_t k = 0; k < x.depth; ++k, a += x.a_k, b += x.ldb) {
    const auto b0 = hn::LoadU(d, b), b1 = kVectors == 2 ? hn::LoadU(d, b + lanes) : b0;
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const auto broadcast = hn::Set(d, a[r * a_row]);
      low[r] = hn::MulAdd(broadcast, b0, low[r]);
      if (kVectors == 2) high[r] = hn::MulAdd(broadcast, b1, high[r]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    hn::StoreU(low[r], d, c + r * x.ldc);
    if (kVectors == 2) hn::StoreU(high[r], d, c + r * x.ldc + lanes);
  }
}

template <int kVectors, class D, class Stride>
HWY_INLINE void product_columns(D d, const Product& x, Stride a_row, const float* b, float* c) {
  constexpr int kTall = kVectors == 2 ? kRows : kRowsNarrow;
  int64_t r = 0;
  // Two rows alone would wait for their FMAs: 8 = 4 + 4 is faster than 6 + 2.
  for (; r + kTall <= x.rows && (kTall != 6 || r + 8 != x.rows); r += kTall)
    product_tile<kTall, kVectors>(d, x, a_row, x.a + r * a_row, b, c + r * x.ldc);
  if (kTall > 8 && r + 8 <= x.rows) {
    product_tile<8, kVectors>(d, x, a_row, x.a + r * a_row, b, c + r * x.ldc);
    r += 8;
  }
  for (; r + 4 <= x.rows; r += 4) product_tile<4, kVectors>(d, x, a_row, x.a + r * a_row, b, c + r * x.ldc);
  if (r + 2 <= x.rows) {
    product_tile<2, kVectors>(d, x, a_row, x.a + r * a_row, b, c + r * x.ldc);
    r += 2;
  }
  for (; r < x.rows; ++r) product_tile<1, kVectors>(d, x, a_row, x.a + r * a_row, b, c + r * x.ldc);
}

template <class D>
HWY_NOINLINE void product(D d, const Product& x) {
  const int64_t lanes = int64_t(hn::Lanes(d));
  for (int64_t column = 0; column < x.columns; column += 2 * lanes) {
    const bool two = column + lanes < x.columns;
    // A transposed left operand gets constant offsets between its rows.
    if (x.a_row == 1) {
      const std::integral_constant<int64_t, 1> adjacent;
      two ? product_columns<2>(d, x, adjacent, x.b + column, x.c + column) : product_columns<1>(d, x, adjacent, x.b + column, x.c + column);
    } else {
      two ? product_columns<2>(d, x, x.a_row, x.b + column, x.c + column) : product_columns<1>(d, x, x.a_row, x.b + column, x.c + column);
    }
  }
}

// The state of one vector of queries: running maximum, sum and unnormalised output (o_rows rows, stride ldo).
struct Running {
  float *max, *sum, *o;
  int64_t o_rows, ldo;
};

// One block: scores [keys][lanes] (stride lds) become p in place, and the state is rescaled to the new maximum; the caller then adds p * v
// to o. Lane i sees key j if j <= diagonal + i.
template <class D>
HWY_INLINE void softmax_block(D d, int64_t keys, int64_t diagonal, float* HWY_RESTRICT s, int64_t lds, const Running& state) {
  const auto lane = hn::Iota(d, 0.0f);
  for (int64_t j = std::max<int64_t>(diagonal + 1, 0); j < keys; ++j) {
    const auto seen = hn::Ge(lane, hn::Set(d, float(j - diagonal)));
    hn::StoreU(hn::IfThenElse(seen, hn::LoadU(d, s + j * lds), hn::Set(d, -std::numeric_limits<float>::infinity())), d, s + j * lds);
  }
  const auto old_max = hn::LoadU(d, state.max);
  hn::Vec<D> top[4] = {old_max, old_max, old_max, old_max};
  for (int64_t j = 0; j < keys; j += 4) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      if (j + i >= keys) break;
      top[i] = hn::Max(top[i], hn::LoadU(d, s + (j + i) * lds));
    }
  }
  const auto max = hn::Max(hn::Max(top[0], top[1]), hn::Max(top[2], top[3]));
  hn::Vec<D> part[4] = {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  for (int64_t j = 0; j < keys; j += 4) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      if (j + i >= keys) break;
      const auto p = vector_exp(d, hn::Sub(hn::LoadU(d, s + (j + i) * lds), max));
      hn::StoreU(p, d, s + (j + i) * lds);
      part[i] = hn::Add(part[i], p);
    }
  }
  const auto rescale = vector_exp(d, hn::Sub(old_max, max));
  const auto sum = hn::Add(hn::Add(part[0], part[1]), hn::Add(part[2], part[3]));
  hn::StoreU(max, d, state.max);
  hn::StoreU(hn::MulAdd(hn::LoadU(d, state.sum), rescale, sum), d, state.sum);
  for (int64_t row = 0; row < state.o_rows; ++row) {
    float* HWY_RESTRICT o = state.o + row * state.ldo;
    hn::StoreU(hn::Mul(hn::LoadU(d, o), rescale), d, o);
  }
}

// Ends the softmax of one vector of queries: o becomes the weighted mean, lse the log-sum-exp of the scores.
template <class D>
HWY_INLINE void softmax_end(D d, const Running& state, float* HWY_RESTRICT lse) {
  const auto sum = hn::LoadU(d, state.sum);
  const auto inverse = hn::Div(hn::Set(d, 1.0f), sum);
  for (int64_t row = 0; row < state.o_rows; ++row) {
    float* HWY_RESTRICT o = state.o + row * state.ldo;
    hn::StoreU(hn::Mul(hn::LoadU(d, o), inverse), d, o);
  }
  hn::StoreU(hn::Add(hn::LoadU(d, state.max), vector_log(d, sum)), d, lse);
}

// Backward of the softmax for one vector of queries: p = exp(s - lse) in place of s, ds = p (dp - d) in place of dp, where d is the row's
// sum of do * o. Lane i sees key j if j <= diagonal + i; unseen keys get zeros.
template <class D>
HWY_INLINE void softmax_block_backward(D d, int64_t keys, int64_t diagonal, float* HWY_RESTRICT s, float* HWY_RESTRICT dp, int64_t lds,
                                       hn::Vec<D> lse, hn::Vec<D> row_sum) {
  const auto lane = hn::Iota(d, 0.0f);
  for (int64_t j = 0; j < keys; ++j) {
    auto p = vector_exp(d, hn::Sub(hn::LoadU(d, s + j * lds), lse));
    if (j > diagonal) p = hn::IfThenElseZero(hn::Ge(lane, hn::Set(d, float(j - diagonal))), p);
    hn::StoreU(p, d, s + j * lds);
    hn::StoreU(hn::Mul(p, hn::Sub(hn::LoadU(d, dp + j * lds), row_sum)), d, dp + j * lds);
  }
}

inline float dot(const float* a, const float* b, int64_t count) {
  return row_sum(count, [&](int64_t j, int64_t left) HWY_ATTR { return hn::Mul(load_some(a + j, left), load_some(b + j, left)); });
}

// out[c][r] = in[r][c] * factor.
HWY_INLINE void transpose(int64_t rows, int64_t columns, const float* HWY_RESTRICT in, int64_t in_stride, float factor,
                          float* HWY_RESTRICT out, int64_t out_stride) {
  int64_t whole_rows = 0, whole_columns = 0;  // done in squares of 4
#if HWY_TARGET != HWY_SCALAR
  whole_rows = rows / 4 * 4, whole_columns = columns / 4 * 4;
  const hn::CappedTag<float, 4> d;
  const auto by = hn::Set(d, factor);
  for (int64_t r = 0; r < whole_rows; r += 4) {
    for (int64_t c = 0; c < whole_columns; c += 4) {
      const float* from = in + r * in_stride + c;
      float* to = out + c * out_stride + r;
      const auto a = hn::Mul(hn::LoadU(d, from), by), b = hn::Mul(hn::LoadU(d, from + in_stride), by);
      const auto e = hn::Mul(hn::LoadU(d, from + 2 * in_stride), by), f = hn::Mul(hn::LoadU(d, from + 3 * in_stride), by);
      const auto ae_low = hn::InterleaveLower(d, a, e), bf_low = hn::InterleaveLower(d, b, f);
      const auto ae_high = hn::InterleaveUpper(d, a, e), bf_high = hn::InterleaveUpper(d, b, f);
      hn::StoreU(hn::InterleaveLower(d, ae_low, bf_low), d, to);
      hn::StoreU(hn::InterleaveUpper(d, ae_low, bf_low), d, to + out_stride);
      hn::StoreU(hn::InterleaveLower(d, ae_high, bf_high), d, to + 2 * out_stride);
      hn::StoreU(hn::InterleaveUpper(d, ae_high, bf_high), d, to + 3 * out_stride);
    }
  }
#endif
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = r < whole_rows ? whole_columns : 0; c < columns; ++c) out[c * out_stride + r] = in[r * in_stride + c] * factor;
  }
}

inline int64_t round_up(int64_t x, int64_t step) { return (x + step - 1) / step * step; }

// Aligned floats of this thread, kept between calls; blocks of it are taken one after the other.
class Scratch {
 public:
  explicit Scratch(int64_t floats) {
    thread_local hwy::AlignedFreeUniquePtr<float[]> kept;
    thread_local int64_t size = 0;
    if (size < floats) {
      kept = hwy::AllocateAligned<float>(size_t(floats));
      size = floats;
    }
    next_ = kept.get();
  }
  // `floats` is rounded up to kAlignment.
  float* take(int64_t floats) {
    float* block = next_;
    next_ += round_up(floats, kAlignment);
    return block;
  }
  static constexpr int64_t kAlignment = 16;

 private:
  float* next_;
};

}  // namespace attention
}  // namespace HWY_NAMESPACE
}  // namespace finback
HWY_AFTER_NAMESPACE();

#endif
