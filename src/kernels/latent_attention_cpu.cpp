// Absorbed MLA attention of a group of query rows for every instruction set, from one Highway source.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/latent_attention_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cstring>

#include "kernels/attention_tile.h"
#include "kernels/latent_attention_cpu.h"

// Note [Rows of heads]
// All heads of a row share its keys, so a column is a (row, head) pair and heads are padded to whole vectors: no vector holds two rows, and
// a row never meets a key that it does not see. Rows of a group walk the blocks together; in the block where the first row's keys end, the
// sum p * v runs over the keys that all rows see, then each later row continues its own chain over the keys that only it sees. So
// grouping changes no bit: a decode step, a prefill chunk and a training document compute a row alike.
// Keys of a block that lie in one page of the cache or in one segment of this call are used in place, others are gathered first.

HWY_BEFORE_NAMESPACE();
namespace finback {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using attention::kKeys;
using attention::product;
using attention::round_up;
using attention::Scratch;

struct KeyBlock {
  const float* data;
  int64_t stride;
};

// Keys at equal distances from `key` on, at most `most`.
struct KeyRun {
  KeyBlock block;
  int64_t count;
};
KeyRun run_at(const LatentKeyPlaces& places, int64_t key, int64_t most) {
  if (key < places.cached) {
    const int64_t slot = places.first_slot + key, row = slot % places.page_rows;
    const float* page = places.pages + places.block_table[slot / places.page_rows] * places.page_stride;
    return {{page + row * places.row_stride, places.row_stride}, std::min({most, places.cached - key, places.page_rows - row})};
  }
  int64_t behind = key - places.cached;
  const int64_t* segment = places.segments;
  for (; behind >= segment[1]; segment += 2) behind -= segment[1];
  return {{places.self + (segment[0] + behind) * places.self_stride, places.self_stride}, std::min(most, segment[1] - behind)};
}

KeyBlock keys_of(const LatentRows& x, int64_t key0, int64_t count, float* gathered) {
  KeyRun run = run_at(x.keys, key0, count);
  if (run.count == count) return run.block;
  float* to = gathered;
  for (int64_t done = 0; done < count; done += run.count) {
    run = run_at(x.keys, key0 + done, count - done);
    for (int64_t i = 0; i < run.count; ++i, to += x.y) std::memcpy(to, run.block.data + i * run.block.stride, size_t(x.y) * sizeof(float));
  }
  return {gathered, x.y};
}

// out[i][row * padded + head] = in(row, head)[i] * factor, zeros in padded heads.
void transpose_in(const LatentRows& x, const float* in, int64_t row_stride, int64_t head_stride, int64_t depth, int64_t padded,
                  float factor, float* HWY_RESTRICT out) {
  const int64_t columns = x.rows * padded;
  if (x.heads < padded) std::fill(out, out + depth * columns, 0.0f);
  for (int64_t row = 0; row < x.rows; ++row) {
    attention::transpose(x.heads, depth, in + row * row_stride, head_stride, factor, out + row * padded, columns);
  }
}

void transpose_out(const LatentRows& x, const float* HWY_RESTRICT in, int64_t depth, int64_t padded, float factor, float* out,
                   int64_t row_stride, int64_t head_stride) {
  for (int64_t row = 0; row < x.rows; ++row) {
    attention::transpose(depth, x.heads, in + row * padded, x.rows * padded, factor, out + row * row_stride, head_stride);
  }
}

// Keys of the block at key0 that a row sees, `row` counted from the group's first.
HWY_INLINE int64_t seen_in_block(const LatentRows& x, int64_t row, int64_t key0) {
  return std::clamp<int64_t>(x.seen + row - key0, 0, kKeys);
}

template <class D>
void rows_forward_with(D d, const LatentRows& x, const LatentTarget& out) {
  const int64_t lanes = int64_t(hn::Lanes(d)), padded = round_up(x.heads, lanes), columns = x.rows * padded, last = x.seen + x.rows - 1;
  Scratch scratch(columns * (x.y + kKeys + x.c + 3) + kKeys * x.y + 8 * Scratch::kAlignment);
  float *q = scratch.take(x.y * columns), *s = scratch.take(kKeys * columns), *o = scratch.take(x.c * columns);
  float *max = scratch.take(columns), *sum = scratch.take(columns), *lse = scratch.take(columns), *gathered = scratch.take(kKeys * x.y);
  transpose_in(x, x.q, x.q_row, x.q_head, x.y, padded, x.scale, q);
  std::fill(max, max + columns, -std::numeric_limits<float>::infinity());
  std::fill(sum, sum + columns, 0.0f);
  std::fill(o, o + x.c * columns, 0.0f);
  for (int64_t key0 = 0; key0 < last; key0 += kKeys) {
    const int64_t count = std::min(kKeys, last - key0), shared = seen_in_block(x, 0, key0);
    const KeyBlock k = keys_of(x, key0, count, gathered);
    product(d, {count, columns, x.y, k.data, k.stride, 1, q, columns, s, columns, false});
    for (int64_t column = 0; column < columns; column += lanes) {
      const int64_t seen = seen_in_block(x, column / padded, key0);
      if (seen > 0) attention::softmax_block(d, seen, seen, s + column, columns, {max + column, sum + column, o + column, x.c, columns});
    }
    product(d, {x.c, columns, shared, k.data, 1, k.stride, s, columns, o, columns, true});
    for (int64_t row = 1; row < x.rows && shared < count; ++row) {
      const int64_t own = seen_in_block(x, row, key0) - shared;
      if (own == 0) continue;
      product(d, {x.c, padded, own, k.data + shared * k.stride, 1, k.stride, s + shared * columns + row * padded, columns, o + row * padded,
                  columns, true});
    }
  }
  for (int64_t column = 0; column < columns; column += lanes) {
    attention::softmax_end(d, {max + column, sum + column, o + column, x.c, columns}, lse + column);
  }
  transpose_out(x, o, x.c, padded, 1.0f, out.o, out.o_row, out.o_head);
  transpose_out(x, lse, 1, padded, 1.0f, out.lse, out.lse_row, 1);
}

// What the backward pass of one group reads and writes; a column is a (row, padded head).
struct GroupGrad {
  float *q, *d_o;            // [Y][columns] scaled, [C][columns]
  float *q_rows, *d_o_rows;  // [columns][padded Y] scaled, [columns][padded C]
  float *lse, *row_sum;      // [columns]; row_sum = sum over C of do * o
  float *p, *ds;             // [kKeys][columns]
  float* dq;                 // [Y][columns], to be scaled
};

// out[column][i] of in[i][column], zeros beyond depth.
void rows_of_columns(const float* HWY_RESTRICT in, int64_t columns, int64_t depth, float* HWY_RESTRICT out, int64_t stride) {
  for (int64_t column = 0; column < columns; ++column) {
    for (int64_t i = 0; i < depth; ++i) out[column * stride + i] = in[i * columns + column];
    for (int64_t i = depth; i < stride; ++i) out[column * stride + i] = 0.0f;
  }
}

void load_group(const LatentRows& x, const LatentRowsGrad& grad, int64_t padded, int64_t y_padded, int64_t c_padded,
                const GroupGrad& group) {
  const int64_t columns = x.rows * padded;
  transpose_in(x, x.q, x.q_row, x.q_head, x.y, padded, x.scale, group.q);
  transpose_in(x, grad.d_o, grad.o_row, grad.o_head, x.c, padded, 1.0f, group.d_o);
  transpose_in(x, grad.lse, grad.lse_row, 1, 1, padded, 1.0f, group.lse);
  rows_of_columns(group.q, columns, x.y, group.q_rows, y_padded);
  rows_of_columns(group.d_o, columns, x.c, group.d_o_rows, c_padded);
  for (int64_t column = 0; column < columns; ++column) {
    const int64_t head = column % padded, at = column / padded * grad.o_row + head * grad.o_head;
    group.row_sum[column] = head < x.heads ? attention::dot(grad.d_o + at, grad.o + at, x.c) : 0.0f;
  }
  std::fill(group.dq, group.dq + x.y * columns, 0.0f);
}

template <class D>
void rows_backward_with(D d, const LatentRows& x, const LatentRowsGrad& grad) {
  const int64_t lanes = int64_t(hn::Lanes(d)), padded = round_up(x.heads, lanes), columns = x.rows * padded, last = x.seen + x.rows - 1;
  const int64_t y_padded = round_up(x.y, lanes), c_padded = round_up(x.c, lanes);
  Scratch scratch(columns * (2 * x.y + x.c + y_padded + c_padded + 2 * kKeys + 2) + kKeys * x.y + 12 * Scratch::kAlignment);
  GroupGrad group;
  group.q = scratch.take(x.y * columns), group.d_o = scratch.take(x.c * columns);
  group.q_rows = scratch.take(columns * y_padded), group.d_o_rows = scratch.take(columns * c_padded);
  group.lse = scratch.take(columns), group.row_sum = scratch.take(columns);
  group.p = scratch.take(kKeys * columns), group.ds = scratch.take(kKeys * columns);
  group.dq = scratch.take(x.y * columns);
  float* gathered = scratch.take(kKeys * x.y);
  load_group(x, grad, padded, y_padded, c_padded, group);
  for (int64_t key0 = 0; key0 < last; key0 += kKeys) {
    const int64_t count = std::min(kKeys, last - key0);
    const KeyBlock k = keys_of(x, key0, count, gathered);
    float* dkeys = grad.dkeys + key0 * grad.dkeys_row;
    product(d, {count, columns, x.y, k.data, k.stride, 1, group.q, columns, group.p, columns, false});
    product(d, {count, columns, x.c, k.data, k.stride, 1, group.d_o, columns, group.ds, columns, false});
    for (int64_t column = 0; column < columns; column += lanes) {
      const int64_t seen = seen_in_block(x, column / padded, key0);
      attention::softmax_block_backward(d, seen, seen, group.p + column, group.ds + column, columns, hn::LoadU(d, group.lse + column),
                                        hn::LoadU(d, group.row_sum + column));
      for (int64_t j = seen; j < count; ++j) {
        hn::StoreU(hn::Zero(d), d, group.p + j * columns + column);
        hn::StoreU(hn::Zero(d), d, group.ds + j * columns + column);
      }
    }
    product(d, {x.y, columns, count, k.data, 1, k.stride, group.ds, columns, group.dq, columns, true});
    product(d, {count, y_padded, columns, group.ds, columns, 1, group.q_rows, y_padded, dkeys, grad.dkeys_row, true});
    product(d, {count, c_padded, columns, group.p, columns, 1, group.d_o_rows, c_padded, dkeys, grad.dkeys_row, true});
  }
  transpose_out(x, group.dq, x.y, padded, x.scale, grad.dq, grad.dq_row, grad.dq_head);
}

// Up to 8 heads leave half of a 16-lane vector empty; 8 lanes compute the same bits.
HWY_INLINE bool narrow(int64_t heads) { return round_up(heads, 8) < round_up(heads, 16); }
using Narrow = hn::CappedTag<float, 8>;
using Wide = hn::ScalableTag<float>;

void rows_forward(const LatentRows& x, const LatentTarget& out) {
  narrow(x.heads) ? rows_forward_with(Narrow(), x, out) : rows_forward_with(Wide(), x, out);
}
void rows_backward(const LatentRows& x, const LatentRowsGrad& grad) {
  narrow(x.heads) ? rows_backward_with(Narrow(), x, grad) : rows_backward_with(Wide(), x, grad);
}

}  // namespace HWY_NAMESPACE
}  // namespace finback
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace finback {
HWY_EXPORT(rows_forward);
HWY_EXPORT(rows_backward);
void latent_rows_forward(const LatentRows& x, const LatentTarget& out) { HWY_DYNAMIC_DISPATCH(rows_forward)(x, out); }
void latent_rows_backward(const LatentRows& x, const LatentRowsGrad& grad) { HWY_DYNAMIC_DISPATCH(rows_backward)(x, grad); }
}  // namespace finback
#endif
