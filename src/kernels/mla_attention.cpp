#include "kernels/mla_attention.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <span>

#include "base/error.h"
#include "base/pool.h"
#include "kernels/backend.h"
#include "kernels/host_values.h"
#include "kernels/mla_attention_cpu.h"
#include "kernels/ref_grad.h"
#include "kernels/rows.h"

namespace finback {
namespace {

constexpr int64_t kChunkRows = 256;  // query rows of a forward task; each copies its keys again, 1/256 of their use

void check_shapes(const MlaInputs& x) {
  const auto& [q_THX, kv_THY, k_rope_TR, starts_B1, scale] = x;
  FB_ASSERT(q_THX.dim() == 3 && kv_THY.dim() == 3 && k_rope_TR.dim() == 2, "q is [T, H, N + R], kv [T, H, N + V], k_rope [T, R]");
  const int64_t tokens = q_THX.size(0), n = q_THX.size(2) - k_rope_TR.size(1);
  FB_ASSERT(kv_THY.size(0) == tokens && k_rope_TR.size(0) == tokens && kv_THY.size(1) == q_THX.size(1),
            "q, kv, k_rope of the same tokens and heads");
  FB_ASSERT(n > 0 && kv_THY.size(2) > n, "q has N + R channels, kv N + V");
}

std::span<const int64_t> checked_starts(const MlaInputs& x) {
  const std::span<const int64_t> starts = values_in_place(x.starts_B1);
  const int64_t tokens = x.q_THX.size(0);
  FB_ASSERT(starts.empty() ? tokens == 0 : starts.front() == 0 && starts.back() == tokens, "segments cover the tokens");
  FB_ASSERT(std::is_sorted(starts.begin(), starts.end()), "segments are in order");
  return starts;
}

// Row `begin` of head h onwards.
MlaRows head_rows(const at::Tensor& x, int64_t begin, int64_t h) {
  return {x.const_data_ptr<float>() + begin * x.stride(0) + h * x.stride(1), x.stride(0)};
}
MlaTarget target_of(const at::Tensor& x, int64_t begin, int64_t h) {
  return {x.mutable_data_ptr<float>() + begin * x.stride(0) + h * x.stride(1), x.stride(0)};
}

// The tensors of one call with unit column stride.
struct MlaOperands {
  at::Tensor q_THX, kv_THY, k_rope_TR;
  double scale;
  explicit MlaOperands(const MlaInputs& x)
      : q_THX(unit_columns(x.q_THX)), kv_THY(unit_columns(x.kv_THY)), k_rope_TR(unit_columns(x.k_rope_TR)), scale(x.scale) {}
  int64_t heads() const { return q_THX.size(1); }
  int64_t r() const { return k_rope_TR.size(1); }
  int64_t n() const { return q_THX.size(2) - r(); }
  int64_t v() const { return kv_THY.size(2) - n(); }
  MlaHead head(int64_t begin, int64_t rows, int64_t h) const {
    const MlaRows k_rope = {k_rope_TR.const_data_ptr<float>() + begin * k_rope_TR.stride(0), k_rope_TR.stride(0)};
    return {head_rows(q_THX, begin, h), head_rows(kv_THY, begin, h), k_rope, rows, n(), r(), v(), float(scale)};
  }
};

// What one thread computes at a time: query rows [first, last) of a segment's head.
struct MlaTask {
  int64_t begin, rows, head, first, last;
};
std::vector<MlaTask> tasks_of(std::span<const int64_t> starts, int64_t heads, int64_t chunk_rows) {
  std::vector<MlaTask> tasks;
  for (size_t b = 0; b + 1 < starts.size(); ++b) {
    const int64_t begin = starts[b], rows = starts[b + 1] - begin, step = chunk_rows > 0 ? chunk_rows : std::max<int64_t>(rows, 1);
    for (int64_t first = 0; first < rows; first += step) {
      for (int64_t h = 0; h < heads; ++h) tasks.push_back({begin, rows, h, first, std::min(rows, first + step)});
    }
  }
  return tasks;
}

// Head order, whatever the threads did.
at::Tensor sum_over_heads(const at::Tensor& x_THR) {
  at::Tensor sum_TR = at::empty({x_THR.size(0), x_THR.size(2)}, x_THR.options());
  const int64_t heads = x_THR.size(1), width = x_THR.size(2);
  const float* in = x_THR.const_data_ptr<float>();
  float* out = sum_TR.mutable_data_ptr<float>();
  parallel_ranges(x_THR.size(0), 64, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t i = 0; i < width; ++i) {
        float sum = 0.0f;
        for (int64_t h = 0; h < heads; ++h) sum += in[(t * heads + h) * width + i];
        out[t * width + i] = sum;
      }
    }
  });
  return sum_TR;
}

}  // namespace

MlaAttention mla_attention(const MlaInputs& inputs) {
  check_shapes(inputs);
  if (backend_of(inputs.q_THX) == Backend::kRef) return mla_attention_ref(inputs);
  const MlaOperands x(inputs);
  const MlaAttention out = {at::empty({x.q_THX.size(0), x.heads(), x.v()}, x.q_THX.options()),
                            at::empty({x.q_THX.size(0), x.heads()}, x.q_THX.options())};
  const std::vector<MlaTask> tasks = tasks_of(checked_starts(inputs), x.heads(), kChunkRows);
  parallel_for(int64_t(tasks.size()), [&](int64_t i) {
    const MlaTask& p = tasks[size_t(i)];
    mla_head_forward(x.head(p.begin, p.rows, p.head), p.first, p.last, target_of(out.o_THV, p.begin, p.head),
                     target_of(out.lse_TH, p.begin, p.head));
  });
  return out;
}

MlaAttentionGrad mla_attention_backward(const at::Tensor& do_THV, const MlaInputs& inputs, const MlaAttention& saved) {
  check_shapes(inputs);
  if (backend_of(inputs.q_THX) == Backend::kRef) {
    const auto grads = gradients_of(
        [&](const std::vector<at::Tensor>& in) {
          return std::vector<at::Tensor>{mla_attention_ref({in[0], in[1], in[2], inputs.starts_B1, inputs.scale}).o_THV};
        },
        {inputs.q_THX, inputs.kv_THY, inputs.k_rope_TR}, {do_THV});
    return {grads[0], grads[1], grads[2]};
  }
  const MlaOperands x(inputs);
  const at::Tensor d_o_THV = unit_columns(do_THV);
  FB_ASSERT(d_o_THV.sizes() == saved.o_THV.sizes() && saved.o_THV.size(2) == x.v(), "do and the saved o are [T, H, V]");
  const at::Tensor dq_THX = at::empty(x.q_THX.sizes(), x.q_THX.options()), dkv_THY = at::empty(x.kv_THY.sizes(), x.q_THX.options());
  const at::Tensor dk_rope_THR = at::empty({x.q_THX.size(0), x.heads(), x.r()}, x.q_THX.options());
  const std::vector<MlaTask> tasks = tasks_of(checked_starts(inputs), x.heads(), 0);
  parallel_for(int64_t(tasks.size()), [&](int64_t i) {
    const MlaTask& p = tasks[size_t(i)];
    MlaHeadGrad grad = {head_rows(d_o_THV, p.begin, p.head),      head_rows(saved.o_THV, p.begin, p.head),
                        head_rows(saved.lse_TH, p.begin, p.head), target_of(dq_THX, p.begin, p.head),
                        target_of(dkv_THY, p.begin, p.head),      target_of(dk_rope_THR, p.begin, p.head)};
    mla_head_backward(x.head(p.begin, p.rows, p.head), grad);
  });
  return {dq_THX, dkv_THY, sum_over_heads(dk_rope_THR)};
}

}  // namespace finback
