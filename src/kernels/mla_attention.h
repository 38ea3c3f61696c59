// Causal attention of packed documents in MLA's expanded form, forward and backward, tiled with online softmax: no [T, T] memory.
// Knows nothing of projections or RoPE. Softmax in f32.  V3 eq. 9-10 before W_O.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace finback {

struct MlaAttention {
  at::Tensor o_THV;   // contiguous
  at::Tensor lse_TH;  // log-sum-exp of each row's scaled scores
};
// q_THX: [T, H, N + R], nope channels first, rope channels rotated. kv_THY: [T, H, N + V], key channels first (kv_b_proj's row order).
// k_rope_TR: rotated, shared by all heads. Token t attends to tokens s <= t of its own segment; starts_B1 holds the segments' first rows, then T.
MlaAttention mla_attention(const at::Tensor& q_THX, const at::Tensor& kv_THY, const at::Tensor& k_rope_TR,
                           const std::vector<int64_t>& starts_B1, double scale);
struct MlaAttentionGrad {
  at::Tensor dq_THX, dkv_THY, dk_rope_TR;
};
MlaAttentionGrad mla_attention_backward(const at::Tensor& do_THV, const at::Tensor& q_THX, const at::Tensor& kv_THY,
                                        const at::Tensor& k_rope_TR, const MlaAttention& saved, const std::vector<int64_t>& starts_B1,
                                        double scale);
MlaAttention mla_attention_ref(const at::Tensor& q_THX, const at::Tensor& kv_THY, const at::Tensor& k_rope_TR,
                               const std::vector<int64_t>& starts_B1, double scale);

}  // namespace finback
