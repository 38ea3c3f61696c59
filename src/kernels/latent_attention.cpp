#include "kernels/latent_attention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <span>
#include <vector>

#include "base/error.h"
#include "base/pool.h"
#include "kernels/backend.h"
#include "kernels/host_values.h"
#include "kernels/latent_attention_cpu.h"
#include "kernels/ref_grad.h"
#include "kernels/rows.h"

namespace finback {
namespace {

constexpr int64_t kHeads = 16;    // heads of a task: one vector of AVX-512; a decode step of 128 heads still feeds 8 threads
constexpr int64_t kFewHeads = 8;  // in a forward call of few tasks: the same bits, twice the threads
constexpr int64_t kFewTasks = 8;
constexpr int64_t kColumns = 64;  // (row, head) pairs of a task: reads of a key block are shared by that many
constexpr int64_t kMaxRows = 8;

void check_shapes(const at::Tensor& q_THY, const LatentKeys& keys, int64_t c) {
  FB_ASSERT(q_THY.dim() == 3 && c > 0 && c <= q_THY.size(2), "q is [T, H, C + R]");
  const int64_t sequences = keys.cached_B.size(0);
  FB_ASSERT(keys.row_starts_B1.size(0) == sequences + 1 && keys.segment_starts_B1.size(0) == sequences + 1 && keys.segments_G2.dim() == 2,
            "row_starts and segment_starts have B + 1 elements, a segment two");
}

// The key lists of one call where they lie, checked.
struct LatentKeyLists {
  const LatentKeys& keys;
  std::span<const int64_t> row_starts, cached, segment_starts;
  const int64_t *block_table, *segments;
  int64_t table_stride = 0;
  std::vector<int64_t> key_starts = {0};  // of the sequences, one behind the other

  LatentKeyLists(const LatentKeys& k, int64_t tokens, int64_t y)
      : keys(k),
        row_starts(values_in_place(k.row_starts_B1)),
        cached(values_in_place(k.cached_B)),
        segment_starts(values_in_place(k.segment_starts_B1)),
        block_table(k.block_table_BM.defined() ? k.block_table_BM.const_data_ptr<int64_t>() : nullptr),
        segments(k.segments_G2.const_data_ptr<int64_t>()),
        table_stride(k.block_table_BM.defined() ? k.block_table_BM.stride(0) : 0) {
    for (const at::Tensor* latents : {&k.self_TY, &k.pages_XPY}) {
      FB_ASSERT(
          !latents->defined() || (latents->size(-1) == y && latents->scalar_type() == at::kFloat && (latents->stride(-1) == 1 || y == 1)),
          "keys are f32 rows of C + R with unit column stride");
    }
    FB_ASSERT(row_starts.front() == 0 && row_starts.back() == tokens, "sequences cover the rows");
    FB_ASSERT(k.segments_G2.is_contiguous() && segment_starts.front() == 0 && segment_starts.back() == k.segments_G2.size(0),
              "sequences cover the segments");
    for (int64_t b = 0; b < sequences(); ++b) {
      key_starts.push_back(key_starts.back() + checked_pages(b) + checked_segments(b));
      FB_ASSERT(rows_of(b) >= 0 && keys_of(b) >= rows_of(b), "every row sees at least one key");
    }
  }
  int64_t sequences() const { return int64_t(cached.size()); }
  int64_t rows_of(int64_t b) const { return row_starts[size_t(b) + 1] - row_starts[size_t(b)]; }
  int64_t keys_of(int64_t b) const { return key_starts[size_t(b) + 1] - key_starts[size_t(b)]; }
  LatentKeyPlaces places_of(int64_t b) const {
    const at::Tensor &pages = keys.pages_XPY, &self = keys.self_TY;
    const bool paged = pages.defined() && pages.numel() > 0, own = self.defined() && self.numel() > 0;
    return {paged ? pages.const_data_ptr<float>() : nullptr,
            paged ? pages.stride(0) : 0,
            paged ? pages.stride(1) : 0,
            paged ? pages.size(1) : 1,
            block_table + b * table_stride,
            keys.first_slot,
            cached[size_t(b)],
            own ? self.const_data_ptr<float>() : nullptr,
            own ? self.stride(0) : 0,
            segments + 2 * segment_starts[size_t(b)]};
  }

 private:
  int64_t checked_pages(int64_t b) const {
    const int64_t count = cached[size_t(b)];
    if (count == 0) return 0;
    FB_ASSERT(count > 0 && keys.pages_XPY.defined() && block_table != nullptr, "cached keys need pages and a block table");
    const int64_t rows = keys.pages_XPY.size(1), first = keys.first_slot / rows, last = (keys.first_slot + count - 1) / rows;
    FB_ASSERT(last < keys.block_table_BM.size(1) && keys.block_table_BM.stride(1) == 1, "the block table has pages for all keys");
    for (int64_t i = first; i <= last; ++i) {
      const int64_t page = block_table[b * table_stride + i];
      FB_ASSERT(page >= 0 && page < keys.pages_XPY.size(0), "a page of this cache, got {} of {}", page, keys.pages_XPY.size(0));
    }
    return count;
  }
  int64_t checked_segments(int64_t b) const {
    const int64_t self_rows = keys.self_TY.defined() ? keys.self_TY.size(0) : 0;
    int64_t count = 0;
    for (int64_t g = segment_starts[size_t(b)]; g < segment_starts[size_t(b) + 1]; ++g) {
      const int64_t first = segments[2 * g], rows = segments[2 * g + 1];
      FB_ASSERT(first >= 0 && rows >= 0 && first + rows <= self_rows, "a segment lies in the latents of this call");
      count += rows;
    }
    return count;
  }
};

// One call's operands, and the tasks it is cut into.
struct LatentOperands {
  at::Tensor q_THY;
  LatentKeyLists keys;
  int64_t c;
  double scale;
  int64_t chunk_heads = kHeads;

  int64_t heads() const { return q_THY.size(1); }
  int64_t y() const { return q_THY.size(2); }
  int64_t head_chunks() const { return (heads() + chunk_heads - 1) / chunk_heads; }
  int64_t group_rows() const { return std::clamp<int64_t>(kColumns / std::min(heads(), chunk_heads), 1, kMaxRows); }
  // Rows [first, first + rows) of sequence b, heads of chunk `chunk`.
  LatentRows rows_at(int64_t b, int64_t first, int64_t chunk) const {
    const int64_t h = chunk * chunk_heads, rows = std::min(group_rows(), keys.rows_of(b) - first);
    const float* q = q_THY.const_data_ptr<float>() + (keys.row_starts[size_t(b)] + first) * q_THY.stride(0) + h * q_THY.stride(1);
    return {q,
            q_THY.stride(0),
            q_THY.stride(1),
            rows,
            std::min(chunk_heads, heads() - h),
            keys.places_of(b),
            keys.keys_of(b) - keys.rows_of(b) + first + 1,
            c,
            y(),
            float(scale)};
  }
};

// What one thread computes at a time: some rows of a sequence, one chunk of heads.
struct LatentTask {
  int64_t sequence, first, chunk;
};

std::vector<LatentTask> tasks_of(const LatentOperands& x) {
  std::vector<LatentTask> tasks;
  for (int64_t b = 0; b < x.keys.sequences(); ++b) {
    for (int64_t first = 0; first < x.keys.rows_of(b); first += x.group_rows()) {
      for (int64_t chunk = 0; chunk < x.head_chunks(); ++chunk) tasks.push_back({b, first, chunk});
    }
  }
  return tasks;
}

// dself row of every self key: shares of the head chunks in order, sequences in order (several may read the same latent).
at::Tensor sum_shares(const LatentOperands& x, const std::vector<float>& shares, int64_t stride) {
  const at::Tensor& self_TY = x.keys.keys.self_TY;
  at::Tensor dself_TY = at::zeros(self_TY.sizes(), self_TY.options());
  float* out = dself_TY.mutable_data_ptr<float>();
  const int64_t total = x.keys.key_starts.back(), y = x.y();
  for (int64_t b = 0; b < x.keys.sequences(); ++b) {
    int64_t key0 = x.keys.key_starts[size_t(b)] + x.keys.cached[size_t(b)];
    for (int64_t g = x.keys.segment_starts[size_t(b)]; g < x.keys.segment_starts[size_t(b) + 1]; ++g) {
      const int64_t row0 = x.keys.segments[2 * g], rows = x.keys.segments[2 * g + 1];
      parallel_ranges(rows, 64, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
          for (int64_t chunk = 0; chunk < x.head_chunks(); ++chunk) {
            const float* share = shares.data() + (chunk * total + key0 + row) * stride;
            for (int64_t i = 0; i < y; ++i) out[(row0 + row) * y + i] += share[i];
          }
        }
      });
      key0 += rows;
    }
  }
  return dself_TY;
}

LatentAttentionGrad backward_ref(const at::Tensor& do_THC, const at::Tensor& q_THY, const LatentKeys& keys, int64_t c, double scale) {
  std::vector<at::Tensor> inputs = {q_THY};
  if (keys.self_TY.defined()) inputs.push_back(keys.self_TY);
  const auto grads = gradients_of(
      [&](const std::vector<at::Tensor>& in) {
        LatentKeys with_leaf = keys;
        if (in.size() > 1) with_leaf.self_TY = in[1];
        return std::vector<at::Tensor>{latent_attention_ref(in[0], with_leaf, c, scale).o_THC};
      },
      inputs, {do_THC});
  return {grads[0], grads.size() > 1 ? grads[1] : at::Tensor()};
}

}  // namespace

LatentAttention latent_attention(const at::Tensor& q_THY, const LatentKeys& keys, int64_t c, double scale) {
  check_shapes(q_THY, keys, c);
  if (backend_of(q_THY) == Backend::kRef) return latent_attention_ref(q_THY, keys, c, scale);
  LatentOperands x = {unit_columns(q_THY), {keys, q_THY.size(0), q_THY.size(2)}, c, scale};
  const LatentAttention out = {at::empty({q_THY.size(0), x.heads(), c}, q_THY.options()),
                               at::empty({q_THY.size(0), x.heads()}, q_THY.options())};
  std::vector<LatentTask> tasks = tasks_of(x);
  if (int64_t(tasks.size()) < kFewTasks) {
    x.chunk_heads = kFewHeads;
    tasks = tasks_of(x);
  }
  float *o = out.o_THC.mutable_data_ptr<float>(), *lse = out.lse_TH.mutable_data_ptr<float>();
  const int64_t heads = x.heads();
  parallel_for(int64_t(tasks.size()), [&](int64_t i) {
    const LatentTask& p = tasks[size_t(i)];
    const int64_t at = (x.keys.row_starts[size_t(p.sequence)] + p.first) * heads + p.chunk * x.chunk_heads;  // of [T, H]
    latent_rows_forward(x.rows_at(p.sequence, p.first, p.chunk), {o + at * c, heads * c, c, lse + at, heads});
  });
  return out;
}

LatentAttentionGrad latent_attention_backward(const at::Tensor& do_THC, const at::Tensor& q_THY, const LatentKeys& keys, int64_t c,
                                              const LatentAttention& saved, double scale) {
  check_shapes(q_THY, keys, c);
  FB_ASSERT(do_THC.sizes() == saved.o_THC.sizes(), "do and the saved o are [T, H, C]");
  if (backend_of(q_THY) == Backend::kRef) return backward_ref(do_THC, q_THY, keys, c, scale);
  const LatentOperands x = {unit_columns(q_THY), {keys, q_THY.size(0), q_THY.size(2)}, c, scale};
  const at::Tensor d_o_THC = do_THC.contiguous(), dq_THY = at::empty(q_THY.sizes(), q_THY.options());
  const int64_t heads = x.heads(), y = x.y(), stride = (y + 15) / 16 * 16, total = x.keys.key_starts.back();
  std::vector<float> shares(size_t(x.head_chunks() * total * stride));  // [chunk][key][stride], of keys from the cache too
  parallel_for(x.keys.sequences() * x.head_chunks(), [&](int64_t i) {
    const int64_t b = i / x.head_chunks(), chunk = i % x.head_chunks();
    for (int64_t first = 0; first < x.keys.rows_of(b); first += x.group_rows()) {
      const int64_t at = (x.keys.row_starts[size_t(b)] + first) * heads + chunk * kHeads;  // of [T, H]
      latent_rows_backward(x.rows_at(b, first, chunk),
                           {d_o_THC.const_data_ptr<float>() + at * c, saved.o_THC.const_data_ptr<float>() + at * c, heads * c, c,
                            saved.lse_TH.const_data_ptr<float>() + at, heads, dq_THY.mutable_data_ptr<float>() + at * y, heads * y, y,
                            shares.data() + (chunk * total + x.keys.key_starts[size_t(b)]) * stride, stride});
    }
  });
  return {dq_THY, keys.self_TY.defined() ? sum_shares(x, shares, stride) : at::Tensor()};
}

}  // namespace finback
