// The KV cache's memory: pages (KV cache blocks elsewhere) of 64 tokens that hold, for every layer (those of the first `mtp_depths` MTP modules
// too), c_kv after its norm and k_rope after rotation. An MTP latent sits at the slot of the token it consumed, so a page depends on no token
// behind it. The row behind a page joins the hidden state of the page's last token, so a page keeps that, too. Data only: who owns which page is
// decided in infer/.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstddef>
#include <span>

#include "model/batch.h"
#include "model/model_config.h"
#include "model/page_tokens.h"

namespace finback {

struct KvCache {
  // [page][layer][64][C + R] f32
  at::Tensor pages_XLPY;
  // [page][MTP depth][D] f32: what the depth below hands on for the page's last token
  at::Tensor last_hidden_XKD;
  // mtp_depths: 0 where nothing drafts. REQUIRES: at most num_nextn_predict_layers.
  KvCache(const ModelConfig& config, int64_t pages, at::Device device, int64_t mtp_depths = 0);
  // Of both tensors, for one page.
  static int64_t page_bytes(const ModelConfig& config, int64_t mtp_depths);
  int64_t layers() const { return pages_XLPY.size(1); }
  // Where a batch's rows belong: slot page * 64 + token % 64 of any layer, behind each sequence's cached tokens, shifted by `slot_shift` (depth of
  // an MTP layer). i64, on the cache's device.
  at::Tensor slot_mapping_T(const Batch& batch, int64_t slot_shift) const;
  void write(int64_t layer, const at::Tensor& slot_mapping_T, const at::Tensor& latents_TY);

  // All bytes of a page, whatever its layers and their type, in the order and the byte order of memory: what leaves this memory and comes back.
  // REQUIRES: a page of this cache, and page_bytes() bytes.
  int64_t page_bytes() const;
  void read_page(int64_t page, std::span<std::byte> to) const;
  void write_page(int64_t page, std::span<const std::byte> from);
  // The type of its numbers under ATen's name, "Float".
  std::string dtype_name() const;
};

}  // namespace finback
