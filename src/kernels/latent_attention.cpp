#include "kernels/latent_attention.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/error.h"
#include "base/pool.h"
#include "kernels/backend.h"
#include "kernels/latent_attention_cpu.h"
#include "kernels/ref_grad.h"

namespace finback {
namespace {

constexpr int64_t kHeads = 16;    // heads of a task: one vector of AVX-512; a decode step of 128 heads still feeds 8 threads
constexpr int64_t kFewHeads = 8;  // in a forward call of few tasks: the same bits, twice the threads
constexpr int64_t kFewTasks = 8;
constexpr int64_t kColumns = 64;  // (row, head) pairs of a task: reads of a key block are shared by that many
constexpr int64_t kMaxRows = 8;

void check_shapes(const at::Tensor& q_THY, const LatentKeys& keys, int64_t c) {
  FB_ASSERT(q_THY.dim() == 3 && c > 0 && c <= q_THY.size(2), "q is [T, H, C + R]");
  FB_ASSERT(keys.row_starts.size() == keys.key_starts.size(), "row_starts and key_starts have B + 1 elements");
  if (keys.row_starts.empty()) return;
  FB_ASSERT(keys.row_starts.front() == 0 && keys.row_starts.back() == q_THY.size(0), "sequences cover the rows");
  FB_ASSERT(keys.key_starts.back() == int64_t(keys.key_rows.size()), "sequences cover the keys");
  for (size_t b = 0; b + 1 < keys.row_starts.size(); ++b) {
    const int64_t rows = keys.row_starts[b + 1] - keys.row_starts[b];
    FB_ASSERT(rows >= 0 && keys.key_starts[b + 1] - keys.key_starts[b] >= rows, "every row sees at least one key");
  }
}

at::Tensor unit_columns(const at::Tensor& x) {
  FB_ASSERT(x.scalar_type() == at::kFloat, "f32");
  return x.stride(-1) == 1 || x.size(-1) <= 1 ? x : x.contiguous();
}

std::vector<const float*> key_pointers(const LatentKeys& keys, int64_t y) {
  const auto rows_of = [&](const at::Tensor& x) {
    FB_ASSERT(!x.defined() || (x.dim() == 2 && x.size(1) == y && x.scalar_type() == at::kFloat && (x.stride(1) == 1 || y == 1)),
              "keys are f32 rows of C + R with unit column stride");
    return x.defined() ? x.size(0) : 0;
  };
  const int64_t self_rows = rows_of(keys.self_TY), pool_rows = rows_of(keys.pool_SY);
  const float* self = self_rows > 0 ? keys.self_TY.const_data_ptr<float>() : nullptr;
  const float* pool = pool_rows > 0 ? keys.pool_SY.const_data_ptr<float>() : nullptr;
  const int64_t self_stride = self_rows > 0 ? keys.self_TY.stride(0) : 0, pool_stride = pool_rows > 0 ? keys.pool_SY.stride(0) : 0;
  std::vector<const float*> pointers;
  pointers.reserve(keys.key_rows.size());
  for (const int64_t row : keys.key_rows) {
    FB_ASSERT(row >= 0 ? row < pool_rows : -1 - row < self_rows, "a key row lies in its tensor");
    pointers.push_back(row >= 0 ? pool + row * pool_stride : self + (-1 - row) * self_stride);
  }
  return pointers;
}

// One call's operands, and the tasks it is cut into.
struct LatentOperands {
  at::Tensor q_THY;
  const LatentKeys& keys;
  std::vector<const float*> pointers;
  int64_t c;
  double scale;
  int64_t chunk_heads = kHeads;

  int64_t heads() const { return q_THY.size(1); }
  int64_t y() const { return q_THY.size(2); }
  int64_t head_chunks() const { return (heads() + chunk_heads - 1) / chunk_heads; }
  int64_t group_rows() const { return std::clamp<int64_t>(kColumns / std::min(heads(), chunk_heads), 1, kMaxRows); }
  int64_t rows_of(size_t b) const { return keys.row_starts[b + 1] - keys.row_starts[b]; }
  int64_t keys_of(size_t b) const { return keys.key_starts[b + 1] - keys.key_starts[b]; }
  // Rows [first, first + rows) of sequence b, heads of chunk `chunk`.
  LatentRows rows_at(size_t b, int64_t first, int64_t chunk) const {
    const int64_t h = chunk * chunk_heads, rows = std::min(group_rows(), rows_of(b) - first);
    const float* q = q_THY.const_data_ptr<float>() + (keys.row_starts[b] + first) * q_THY.stride(0) + h * q_THY.stride(1);
    return {q,
            q_THY.stride(0),
            q_THY.stride(1),
            rows,
            std::min(chunk_heads, heads() - h),
            pointers.data() + keys.key_starts[b],
            keys_of(b) - rows_of(b) + first + 1,
            c,
            y(),
            float(scale)};
  }
};

// What one thread computes at a time: some rows of a sequence, one chunk of heads.
struct LatentTask {
  size_t sequence;
  int64_t first, chunk;
};

std::vector<LatentTask> tasks_of(const LatentOperands& x) {
  std::vector<LatentTask> tasks;
  for (size_t b = 0; b + 1 < x.keys.row_starts.size(); ++b) {
    for (int64_t first = 0; first < x.rows_of(b); first += x.group_rows()) {
      for (int64_t chunk = 0; chunk < x.head_chunks(); ++chunk) tasks.push_back({b, first, chunk});
    }
  }
  return tasks;
}

// dself row of every self key: shares of the head chunks in order, sequences in order (several may read the same latent).
at::Tensor sum_shares(const LatentOperands& x, const std::vector<float>& shares, int64_t stride) {
  at::Tensor dself_TY = at::zeros(x.keys.self_TY.sizes(), x.keys.self_TY.options());
  float* out = dself_TY.mutable_data_ptr<float>();
  const int64_t total = int64_t(x.pointers.size()), y = x.y();
  for (size_t b = 0; b + 1 < x.keys.key_starts.size(); ++b) {
    parallel_ranges(x.keys_of(b), 64, [&](int64_t begin, int64_t end) {
      for (int64_t key = x.keys.key_starts[b] + begin; key < x.keys.key_starts[b] + end; ++key) {
        const int64_t row = x.keys.key_rows[size_t(key)];
        for (int64_t chunk = 0; chunk < x.head_chunks() && row < 0; ++chunk) {
          const float* share = shares.data() + (chunk * total + key) * stride;
          for (int64_t i = 0; i < y; ++i) out[(-1 - row) * y + i] += share[i];
        }
      }
    });
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
  LatentOperands x = {unit_columns(q_THY), keys, key_pointers(keys, q_THY.size(2)), c, scale};
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
    const int64_t at = (keys.row_starts[p.sequence] + p.first) * heads + p.chunk * x.chunk_heads;  // of [T, H]
    latent_rows_forward(x.rows_at(p.sequence, p.first, p.chunk), {o + at * c, heads * c, c, lse + at, heads});
  });
  return out;
}

LatentAttentionGrad latent_attention_backward(const at::Tensor& do_THC, const at::Tensor& q_THY, const LatentKeys& keys, int64_t c,
                                              const LatentAttention& saved, double scale) {
  check_shapes(q_THY, keys, c);
  FB_ASSERT(do_THC.sizes() == saved.o_THC.sizes(), "do and the saved o are [T, H, C]");
  if (backend_of(q_THY) == Backend::kRef) return backward_ref(do_THC, q_THY, keys, c, scale);
  const LatentOperands x = {unit_columns(q_THY), keys, key_pointers(keys, q_THY.size(2)), c, scale};
  const at::Tensor d_o_THC = do_THC.contiguous(), dq_THY = at::empty(q_THY.sizes(), q_THY.options());
  const int64_t heads = x.heads(), y = x.y(), stride = (y + 15) / 16 * 16, total = int64_t(x.pointers.size());
  std::vector<float> shares(size_t(x.head_chunks() * total * stride));  // [chunk][key][stride], of keys from the cache too
  const int64_t sequences = std::max<int64_t>(int64_t(keys.row_starts.size()) - 1, 0);
  parallel_for(sequences * x.head_chunks(), [&](int64_t i) {
    const size_t b = size_t(i / x.head_chunks());
    const int64_t chunk = i % x.head_chunks();
    for (int64_t first = 0; first < x.rows_of(b); first += x.group_rows()) {
      const int64_t at = (keys.row_starts[b] + first) * heads + chunk * kHeads;  // of [T, H]
      latent_rows_backward(x.rows_at(b, first, chunk),
                           {d_o_THC.const_data_ptr<float>() + at * c, saved.o_THC.const_data_ptr<float>() + at * c, heads * c, c,
                            saved.lse_TH.const_data_ptr<float>() + at, heads, dq_THY.mutable_data_ptr<float>() + at * y, heads * y, y,
                            shares.data() + (chunk * total + keys.key_starts[b]) * stride, stride});
    }
  });
  return {dq_THY, keys.self_TY.defined() ? sum_shares(x, shares, stride) : at::Tensor()};
}

}  // namespace finback
