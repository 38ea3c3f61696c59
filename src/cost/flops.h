// Work of a token as pure functions of the config: one multiply-add is 2 FLOPs; norms, activations, softmax and the embedding lookup are
// left out. Training = 3 x forward, no recompute. V3 at 4096: 250.4 GFLOP a token trained (causal), 281 with full-square attention.
#pragma once
#include <cstdint>

#include "model/model_config.h"

namespace finback {

// Matrix parameters that a token multiplies: projections, FFN (K experts + shared + router), head. With MTP: one layer, eh_proj and a second
// head for each module.
int64_t matmul_parameters(const ModelConfig& config, bool with_mtp);

enum class AttentionCount { kCausal, kFull };
// 6 * P_mm + 6 * layers * H * (d_qk + d_v) * K, K = mean visible keys: seq_len / 2 causal, seq_len full. MLA in its expanded form.
double train_flops_per_token(const ModelConfig& config, int64_t seq_len, AttentionCount attention, bool with_mtp);
// One decoded token with `context` keys before it, absorbed attention: 2 * P_mm + layers * H * 2 * (2 C + R) * context.
double decode_flops_per_token(const ModelConfig& config, int64_t context);
// C + R values a layer (MTP layers when asked): V3 in bf16 70,272 bytes.
int64_t cache_bytes_per_token(const ModelConfig& config, int64_t bytes_per_value, bool with_mtp);

}  // namespace finback
