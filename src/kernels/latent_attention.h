// Attention over latents, MLA's absorbed form: one routine for training rows, prefill chunks and decode.  V3 eq. 10 with W_UK folded into q.
// Each row walks its sequence's keys in blocks of 64 counted from the sequence's start, wherever they are stored, so its bits do not depend
// on how the sequence was cut into calls, on the other rows, or on whether a key comes from the cache or from this call. Softmax in f32.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace finback {

// The keys of B sequences, Y = C + R floats each (c_kv after its norm, then k_rope after rotation), oldest first: those that lie in pages of the
// cache, then segments of rows of this call. The last query row of a sequence sees all its keys, the one before it one key less, and so on (causal).
// Everything but the latents is i64 on their device: the CPU reads it in place, the reference fetches all but the block table.
struct LatentKeys {
  at::Tensor self_TY;         // latents computed in this call; may be undefined
  at::Tensor pages_XPY;       // the cache, X pages of P rows; any page and row stride, unit column stride; may be undefined
  at::Tensor row_starts_B1;   // sequence b owns query rows row_starts[b]..row_starts[b + 1]
  at::Tensor cached_B;        // how many of its keys lie in pages
  at::Tensor block_table_BM;  // cached key i is row (first_slot + i) % P of page block_table[b][(first_slot + i) / P]
  int64_t first_slot = 0;
  at::Tensor segment_starts_B1;  // its other keys are segments segment_starts[b]..segment_starts[b + 1]
  at::Tensor segments_G2;        // first row of self_TY, rows
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
