// Causal attention of packed documents in MLA's expanded form, forward and backward, tiled with online softmax: no [T, T] memory.
// Knows nothing of projections or RoPE. Softmax in f32.  V3 eq. 9-10 before W_O.
#pragma once
#include <ATen/core/Tensor.h>

namespace finback {

// Token t attends to tokens s <= t of its own segment.
struct MlaInputs {
  at::Tensor q_THX;      // [T, H, N + R], nope channels first, rope channels rotated
  at::Tensor kv_THY;     // [T, H, N + V], key channels first (kv_b_proj's row order)
  at::Tensor k_rope_TR;  // rotated, shared by all heads
  at::Tensor starts_B1;  // i64, the segments' first rows, then T; the CPU reads
                         // them in place, the reference fetches them
  double scale;          // of the scores
};
struct MlaAttention {
  at::Tensor o_THV;   // contiguous
  at::Tensor lse_TH;  // log-sum-exp of each row's scaled scores
};
MlaAttention mla_attention(const MlaInputs& x);
struct MlaAttentionGrad {
  at::Tensor dq_THX, dkv_THY, dk_rope_TR;
};
MlaAttentionGrad mla_attention_backward(const at::Tensor& do_THV, const MlaInputs& x, const MlaAttention& saved);
MlaAttention mla_attention_ref(const MlaInputs& x);

}  // namespace finback
