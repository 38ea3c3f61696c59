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
  // Where a batch's rows belong: slot page * 64 + token % 64 of any layer, behind each sequence's cached tokens, shifted by `slot_shift` (depth of
  // an MTP layer). i64, on the cache's device.
  at::Tensor slot_mapping_T(const Batch& batch, int64_t slot_shift) const;
  void write(int64_t layer, const at::Tensor& slot_mapping_T, const at::Tensor& latents_TY);
};

}  // namespace finback
