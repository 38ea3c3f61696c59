#include "model/kv_cache.h"

#include <ATen/ATen.h>

#include <cstring>
#include <vector>

#include "base/error.h"
#include "kernels/rows.h"

namespace finback {

KvCache::KvCache(const ModelConfig& config, int64_t pages, at::Device device)
    : pages_XLPY(at::empty({pages, config.total_layers(), kPageTokens, config.latent_dim()},
                           at::TensorOptions().dtype(at::kFloat).device(device))) {}

void KvCache::write(int64_t layer, const Batch& batch, const at::Tensor& latents_TY, int64_t slot_shift) {
  std::vector<int64_t> rows(size_t(batch.tokens()));
  for (const Sequence& sequence : batch.sequences) {
    for (int64_t i = 0; i < sequence.rows; ++i) {
      const int64_t token = sequence.cached_tokens + i + slot_shift;
      FB_ASSERT(token / kPageTokens < int64_t(sequence.pages.size()), "the sequence has pages for all its tokens");
      const int64_t page = sequence.pages[size_t(token / kPageTokens)];
      FB_ASSERT(page >= 0 && page < pages_XLPY.size(0), "a page of this cache, got {} of {}", page, pages_XLPY.size(0));
      rows[size_t(sequence.first_row + i)] = row(page, layer, token % kPageTokens);
    }
  }
  if (!latents_TY.is_cpu()) {
    flat_SY().index_copy_(0, at::tensor(rows, at::kLong).to(latents_TY.device()), latents_TY);
    return;
  }
  const Rows from = rows_of(latents_TY);
  FB_ASSERT(from.count == int64_t(rows.size()) && from.columns == pages_XLPY.size(3), "a latent for each row of the batch");
  float* to = pages_XLPY.mutable_data_ptr<float>();
  for (size_t i = 0; i < rows.size(); ++i) {
    std::memcpy(to + rows[i] * from.columns, from.at(int64_t(i)), size_t(from.columns) * sizeof(float));
  }
}

}  // namespace finback
