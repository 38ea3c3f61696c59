// Expanded MLA attention of one (document, head) for every instruction set, from one Highway source.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/mla_attention_cpu.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <cstring>

#include "kernels/attention_tile.h"
#include "kernels/mla_attention_cpu.h"

// Note [Panels of queries]
// A panel is two vectors of consecutive queries of one head. It walks its document's keys in blocks of 64 from the first; the last block
// ends with the panel's last query, and within it later keys are masked lane by lane: they add 0 * v, which is nothing unless v is NaN or
// infinite (latent attention leaves such keys out altogether). Keys and values of the head are first copied into
// contiguous rows (their stride in the tensors is a multiple of a page of L1 for most models, which thrashes it).
// In the backward pass p is recomputed from lse; dk and dv of the whole document stay in scratch while panels add to them in order.

HWY_BEFORE_NAMESPACE();
namespace finback {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;
using attention::kKeys;
using attention::product;
using attention::round_up;
using attention::Scratch;

struct Keys {
  float *k, *v;  // [count][N + R], [count][V]
};

void gather_keys(const MlaHead& x, int64_t count, Keys keys) {
  const int64_t qk = x.n + x.r;
  for (int64_t t = 0; t < count; ++t) {
    const float* kv = x.kv.data + t * x.kv.stride;
    std::memcpy(keys.k + t * qk, kv, size_t(x.n) * sizeof(float));
    std::memcpy(keys.k + t * qk + x.n, x.k_rope.data + t * x.k_rope.stride, size_t(x.r) * sizeof(float));
    std::memcpy(keys.v + t * x.v, kv + x.n, size_t(x.v) * sizeof(float));
  }
}

// out[i][lane] = rows[first + lane][i] * factor, zeros beyond `count` lanes.
void transpose_in(MlaRows rows, int64_t first, int64_t count, int64_t depth, float factor, float* HWY_RESTRICT out) {
  const int64_t width = 2 * lanes();
  if (count < width) std::fill(out, out + depth * width, 0.0f);
  attention::transpose(count, depth, rows.data + first * rows.stride, rows.stride, factor, out, width);
}

void transpose_out(const float* HWY_RESTRICT in, int64_t first, int64_t count, int64_t depth, float factor, MlaTarget rows) {
  attention::transpose(depth, count, in, 2 * lanes(), factor, rows.data + first * rows.stride, rows.stride);
}

// out[lane][i], row stride `padded`, zeros beyond depth.
void copy_in(MlaRows rows, int64_t first, int64_t count, int64_t depth, float factor, float* HWY_RESTRICT out, int64_t padded) {
  for (int64_t lane = 0; lane < count; ++lane) {
    const float* HWY_RESTRICT row = rows.data + (first + lane) * rows.stride;
    for (int64_t i = 0; i < depth; ++i) out[lane * padded + i] = row[i] * factor;
    for (int64_t i = depth; i < padded; ++i) out[lane * padded + i] = 0.0f;
  }
}

void head_forward(const MlaHead& x, int64_t first, int64_t last, MlaTarget o, MlaTarget lse) {
  const F d;
  const int64_t qk = x.n + x.r, width = 2 * lanes();
  Scratch scratch(last * (qk + x.v) + width * (qk + kKeys + x.v + 3) + 8 * Scratch::kAlignment);
  const Keys keys = {scratch.take(last * qk), scratch.take(last * x.v)};
  float *q = scratch.take(qk * width), *s = scratch.take(kKeys * width), *out = scratch.take(x.v * width);
  float *max = scratch.take(width), *sum = scratch.take(width), *log_sum = scratch.take(width);
  gather_keys(x, last, keys);
  for (int64_t q0 = first; q0 < last; q0 += width) {
    const int64_t queries = std::min(width, last - q0), columns = round_up(queries, lanes());
    transpose_in(x.q, q0, queries, qk, x.scale, q);
    std::fill(max, max + width, -std::numeric_limits<float>::infinity());
    std::fill(sum, sum + width, 0.0f);
    std::fill(out, out + x.v * width, 0.0f);
    for (int64_t key0 = 0; key0 < q0 + queries; key0 += kKeys) {
      const int64_t count = std::min(kKeys, q0 + queries - key0);
      product(d, {count, columns, qk, keys.k + key0 * qk, qk, 1, q, width, s, width, false});
      for (int64_t c = 0; c < columns; c += lanes()) {
        attention::softmax_block(d, count, q0 + c - key0, s + c, width, {max + c, sum + c, out + c, x.v, width});
      }
      product(d, {x.v, columns, count, keys.v + key0 * x.v, 1, x.v, s, width, out, width, true});
    }
    for (int64_t c = 0; c < columns; c += lanes()) attention::softmax_end(d, {max + c, sum + c, out + c, x.v, width}, log_sum + c);
    transpose_out(out, q0, queries, x.v, 1.0f, o);
    transpose_out(log_sum, q0, queries, 1, 1.0f, lse);
  }
}

// What the backward pass of one panel reads and writes.
struct PanelGrad {
  float *q, *d_o;            // [N + R][width] scaled, [V][width]
  float *q_rows, *d_o_rows;  // [width][padded N + R] scaled, [width][padded V]
  float *lse, *row_sum;      // [width]; row_sum = sum over V of do * o
  float *p, *ds;             // [kKeys][width]
  float* dq;                 // [N + R][width], to be scaled
};

void load_panel(const MlaHead& x, const MlaHeadGrad& grad, int64_t q0, int64_t queries, const PanelGrad& panel) {
  const int64_t qk = x.n + x.r, width = 2 * lanes();
  transpose_in(x.q, q0, queries, qk, x.scale, panel.q);
  transpose_in(grad.d_o, q0, queries, x.v, 1.0f, panel.d_o);
  transpose_in(grad.lse, q0, queries, 1, 1.0f, panel.lse);
  copy_in(x.q, q0, queries, qk, x.scale, panel.q_rows, round_up(qk, lanes()));
  copy_in(grad.d_o, q0, queries, x.v, 1.0f, panel.d_o_rows, round_up(x.v, lanes()));
  std::fill(panel.row_sum, panel.row_sum + width, 0.0f);
  for (int64_t lane = 0; lane < queries; ++lane) {
    panel.row_sum[lane] = attention::dot(grad.d_o.data + (q0 + lane) * grad.d_o.stride, grad.o.data + (q0 + lane) * grad.o.stride, x.v);
  }
  std::fill(panel.dq, panel.dq + qk * width, 0.0f);
}

// Adds one panel's share to dk [rows][padded N + R] and dv [rows][padded V] and computes its dq.
void panel_backward(const MlaHead& x, int64_t q0, int64_t queries, Keys keys, const PanelGrad& panel, float* dk, float* dv) {
  const F d;
  const int64_t qk = x.n + x.r, width = 2 * lanes(), columns = round_up(queries, lanes());
  const int64_t qk_padded = round_up(qk, lanes()), v_padded = round_up(x.v, lanes());
  for (int64_t key0 = 0; key0 < q0 + queries; key0 += kKeys) {
    const int64_t count = std::min(kKeys, q0 + queries - key0);
    const float *k = keys.k + key0 * qk, *v = keys.v + key0 * x.v;
    product(d, {count, columns, qk, k, qk, 1, panel.q, width, panel.p, width, false});
    product(d, {count, columns, x.v, v, x.v, 1, panel.d_o, width, panel.ds, width, false});
    for (int64_t c = 0; c < columns; c += lanes()) {
      attention::softmax_block_backward(d, count, q0 + c - key0, panel.p + c, panel.ds + c, width, hn::LoadU(d, panel.lse + c),
                                        hn::LoadU(d, panel.row_sum + c));
    }
    product(d, {qk, columns, count, k, 1, qk, panel.ds, width, panel.dq, width, true});
    product(d, {count, v_padded, queries, panel.p, width, 1, panel.d_o_rows, v_padded, dv + key0 * v_padded, v_padded, true});
    product(d, {count, qk_padded, queries, panel.ds, width, 1, panel.q_rows, qk_padded, dk + key0 * qk_padded, qk_padded, true});
  }
}

void head_backward(const MlaHead& x, const MlaHeadGrad& grad) {
  const int64_t qk = x.n + x.r, width = 2 * lanes(), qk_padded = round_up(qk, lanes()), v_padded = round_up(x.v, lanes());
  Scratch scratch(x.rows * (qk + x.v + qk_padded + v_padded) + width * (2 * qk + x.v + qk_padded + v_padded + 2 * kKeys + 2) +
                  16 * Scratch::kAlignment);
  const Keys keys = {scratch.take(x.rows * qk), scratch.take(x.rows * x.v)};
  float *dk = scratch.take(x.rows * qk_padded), *dv = scratch.take(x.rows * v_padded);
  PanelGrad panel;
  panel.q = scratch.take(qk * width), panel.d_o = scratch.take(x.v * width);
  panel.q_rows = scratch.take(width * qk_padded), panel.d_o_rows = scratch.take(width * v_padded);
  panel.lse = scratch.take(width), panel.row_sum = scratch.take(width);
  panel.p = scratch.take(kKeys * width), panel.ds = scratch.take(kKeys * width);
  panel.dq = scratch.take(qk * width);
  gather_keys(x, x.rows, keys);
  std::fill(dk, dk + x.rows * qk_padded, 0.0f);
  std::fill(dv, dv + x.rows * v_padded, 0.0f);
  for (int64_t q0 = 0; q0 < x.rows; q0 += width) {
    const int64_t queries = std::min(width, x.rows - q0);
    load_panel(x, grad, q0, queries, panel);
    panel_backward(x, q0, queries, keys, panel, dk, dv);
    transpose_out(panel.dq, q0, queries, qk, x.scale, grad.dq);
  }
  for (int64_t t = 0; t < x.rows; ++t) {
    std::memcpy(grad.dkv.data + t * grad.dkv.stride, dk + t * qk_padded, size_t(x.n) * sizeof(float));
    std::memcpy(grad.dkv.data + t * grad.dkv.stride + x.n, dv + t * v_padded, size_t(x.v) * sizeof(float));
    std::memcpy(grad.dk_rope.data + t * grad.dk_rope.stride, dk + t * qk_padded + x.n, size_t(x.r) * sizeof(float));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace finback
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace finback {
HWY_EXPORT(head_forward);
HWY_EXPORT(head_backward);
void mla_head_forward(const MlaHead& x, int64_t first, int64_t last, MlaTarget o, MlaTarget lse) {
  HWY_DYNAMIC_DISPATCH(head_forward)(x, first, last, o, lse);
}
void mla_head_backward(const MlaHead& x, const MlaHeadGrad& grad) { HWY_DYNAMIC_DISPATCH(head_backward)(x, grad); }
}  // namespace finback
#endif
