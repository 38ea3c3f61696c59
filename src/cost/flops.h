// Work of a token as a pure function of a model's shape: the one count of trainer, planner and `finback inspect`. A multiply-add is 2 FLOPs; norms,
// activations, softmax and the embedding lookup are left out. Training = 3 x forward, no recompute. V3 at 4096: 250.4 GFLOP a trained token (causal), 281
// with full-square attention.
#pragma once
#include <cstdint>

#include "cost/model_shape.h"

namespace finback {

enum class AttentionCount { kCausal, kFull };

// Mean keys that a token sees in rows of `seq_len`, mean over the layers' windows: s / 2 causal, else s (windows are causal in both).
double visible_keys(const ModelShape& shape, double seq_len, AttentionCount attention);
// 6 * P_mm + 6 * L * H * (d_qk + d_v) * K: P_mm matrix parameters that a token multiplies, K visible keys. MLA in its expanded form. With MTP: a layer,
// eh_proj and the head once more for each module.
double train_flops_per_token(const ModelShape& shape, double seq_len, AttentionCount attention, bool with_mtp);

// Attention of a decoded token, all layers, for every key that it sees: 2 * L * H * (2 C + R) in MLA's absorbed form, 2 * L * H * (d_qk + d_v) otherwise.
int64_t decode_flops_per_key(const ModelShape& shape);
// Keys that a token with `context` tokens before it sees, mean over the layers: all of them, of a sliding window the last `window`.
double decoded_keys(const ModelShape& shape, double context);
// One decoded token: 2 * P_mm + FLOPs per key * keys.
double decode_flops_per_token(const ModelShape& shape, int64_t context);

}  // namespace finback
