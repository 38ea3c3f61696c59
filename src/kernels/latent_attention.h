// Attention over latents, MLA's absorbed form: one routine for training rows, prefill chunks and decode.  V3 eq. 10 with W_UK folded into q.
// Each row walks its sequence's keys in blocks of 64 counted from the sequence's start, wherever they are stored, so its bits do not depend
// on how the sequence was cut into calls, on the other rows, or on whether a key comes from the cache or from this call. Softmax in f32.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace finback {

// The keys of B sequences, Y = C + R floats each (c_kv after its norm, then k_rope after rotation).
// Sequence b owns query rows row_starts[b]..row_starts[b+1] and keys key_rows[key_starts[b]..key_starts[b+1]), oldest first.
// A key row >= 0 is a row of pool_SY (the cache), a key row < 0 is row -1 - key of self_TY (latents computed in this call).
// The last query row of b sees all its keys, the one before it one key less, and so on (causal).
struct LatentKeys {
  at::Tensor self_TY;  // may be undefined
  at::Tensor pool_SY;  // may be undefined; any row stride, unit column stride
  std::vector<int64_t> key_rows, key_starts, row_starts;
};
struct LatentAttention {
  at::Tensor o_THC, lse_TH;
};
// q_THY: [T, H, C + R]; c = kv_lora_rank.
LatentAttention latent_attention(const at::Tensor& q_THY, const LatentKeys& keys, int64_t c, double scale);
struct LatentAttentionGrad {
  at::Tensor dq_THY, dself_TY;  // cached keys get no gradient
};
LatentAttentionGrad latent_attention_backward(const at::Tensor& do_THC, const at::Tensor& q_THY, const LatentKeys& keys, int64_t c,
                                              const LatentAttention& saved, double scale);
LatentAttention latent_attention_ref(const at::Tensor& q_THY, const LatentKeys& keys, int64_t c, double scale);

}  // namespace finback
