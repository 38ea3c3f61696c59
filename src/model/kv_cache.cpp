#include "model/kv_cache.h"

#include <ATen/ATen.h>

#include "base/error.h"

namespace finback {

KvCache::KvCache(const ModelConfig& config, int64_t pages, at::Device device)
    : pages_XLPY(at::empty({pages, config.total_layers(), kPageTokens, config.latent_dim()},
                           at::TensorOptions().dtype(at::kFloat).device(device))) {}

void KvCache::write(int64_t layer, const Batch& batch, const at::Tensor& latents_TY, int64_t slot_shift) {
  at::Tensor rows_T = at::empty({batch.tokens()}, at::kLong);
  int64_t* rows = rows_T.mutable_data_ptr<int64_t>();
  for (const Sequence& sequence : batch.sequences) {
    for (int64_t i = 0; i < sequence.rows; ++i) {
      const int64_t token = sequence.cached_tokens + i + slot_shift;
      FB_ASSERT(token / kPageTokens < int64_t(sequence.pages.size()), "the sequence has pages for all its tokens");
      rows[sequence.first_row + i] = row(sequence.pages[size_t(token / kPageTokens)], layer, token % kPageTokens);
    }
  }
  flat_SY().index_copy_(0, rows_T.to(latents_TY.device()), latents_TY);
}

}  // namespace finback
