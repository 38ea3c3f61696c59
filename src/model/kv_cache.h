// The KV cache's memory: pages (KV cache blocks elsewhere) of 64 tokens that hold, for every layer (MTP layers too), c_kv after its norm and
// k_rope after rotation, and nothing else. Data only: who owns which page is decided in infer/. An MTP latent sits at the slot of the token it
// consumed.
#pragma once
#include <ATen/core/Tensor.h>

#include "model/batch.h"
#include "model/model_config.h"

namespace finback {

inline constexpr int64_t kPageTokens = 64;

struct KvCache {
  // [page][layer][64][C + R] f32
  at::Tensor pages_XLPY;
  KvCache(const ModelConfig& config, int64_t pages, at::Device device);
  int64_t layers() const { return pages_XLPY.size(1); }
  // Row of a token in the flat view [X * L * 64, C + R].
  int64_t row(int64_t page, int64_t layer, int64_t slot) const { return (page * layers() + layer) * kPageTokens + slot; }
  at::Tensor flat_SY() const { return pages_XLPY.view({-1, pages_XLPY.size(3)}); }
  // Stores the latents of the batch's rows behind each sequence's cached tokens, shifted by `slot_shift` (depth of an MTP layer).
  void write(int64_t layer, const Batch& batch, const at::Tensor& latents_TY, int64_t slot_shift = 0);
};

}  // namespace finback
