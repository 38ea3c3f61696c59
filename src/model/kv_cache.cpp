#include "model/kv_cache.h"

#include <ATen/ATen.h>

#include <cstring>
#include <span>
#include <vector>

#include "base/error.h"
#include "kernels/host_values.h"
#include "kernels/rows.h"

namespace finback {
namespace {

// Every tensor whose first index is the page: what a page is made of.
std::vector<at::Tensor> parts_of_pages(const KvCache& cache) { return {cache.pages_XLPY, cache.last_hidden_XKD}; }
int64_t bytes_of_page(const at::Tensor& part) { return part.numel() / part.size(0) * part.element_size(); }

}  // namespace

KvCache::KvCache(const ModelConfig& config, int64_t pages, at::Device device, int64_t mtp_depths) {
  FB_ASSERT(mtp_depths >= 0 && mtp_depths <= config.num_nextn_predict_layers, "the model has a module for each depth");
  const auto f32 = at::TensorOptions().dtype(at::kFloat).device(device);
  pages_XLPY = at::empty({pages, config.num_hidden_layers + mtp_depths, kPageTokens, config.latent_dim()}, f32);
  last_hidden_XKD = at::empty({pages, mtp_depths, config.hidden_size}, f32);
}

int64_t KvCache::page_bytes(const ModelConfig& config, int64_t mtp_depths) {
  const int64_t latents = (config.num_hidden_layers + mtp_depths) * kPageTokens * config.latent_dim();
  return int64_t(sizeof(float)) * (latents + mtp_depths * config.hidden_size);
}

at::Tensor KvCache::slot_mapping_T(const Batch& batch, int64_t slot_shift) const {
  std::vector<int64_t> slots(size_t(batch.tokens()));
  for (const Sequence& sequence : batch.sequences) {
    for (int64_t i = 0; i < sequence.rows; ++i) {
      const int64_t token = sequence.cached_tokens + i + slot_shift;
      FB_ASSERT(token / kPageTokens < int64_t(sequence.pages.size()), "the sequence has pages for all its tokens");
      const int64_t page = sequence.pages[size_t(token / kPageTokens)];
      FB_ASSERT(page >= 0 && page < pages_XLPY.size(0), "a page of this cache, got {} of {}", page, pages_XLPY.size(0));
      slots[size_t(sequence.first_row + i)] = page * kPageTokens + token % kPageTokens;
    }
  }
  return at::tensor(slots).to(pages_XLPY.device());
}

void KvCache::write(int64_t layer, const at::Tensor& slot_mapping_T, const at::Tensor& latents_TY) {
  if (!latents_TY.is_cpu()) {
    pages_XLPY.select(1, layer).index_put_({slot_mapping_T.div(kPageTokens, "floor"), slot_mapping_T.remainder(kPageTokens)}, latents_TY);
    return;
  }
  const Rows from = rows_of(latents_TY);
  const std::span<const int64_t> slots = values_in_place(slot_mapping_T);
  FB_ASSERT(from.count == int64_t(slots.size()) && from.columns == pages_XLPY.size(3), "a latent for each row of the batch");
  float* to = pages_XLPY.mutable_data_ptr<float>();
  for (size_t i = 0; i < slots.size(); ++i) {
    const int64_t row = (slots[i] / kPageTokens * layers() + layer) * kPageTokens + slots[i] % kPageTokens;
    std::memcpy(to + row * from.columns, from.at(int64_t(i)), size_t(from.columns) * sizeof(float));
  }
}

int64_t KvCache::page_bytes() const {
  int64_t bytes = 0;
  for (const at::Tensor& part : parts_of_pages(*this)) bytes += bytes_of_page(part);
  return bytes;
}

void KvCache::read_page(int64_t page, std::span<std::byte> to) const {
  FB_ASSERT(int64_t(to.size()) == page_bytes(), "the bytes of one page");
  for (const at::Tensor& part : parts_of_pages(*this)) {
    const at::Tensor from = part[page].to(at::kCPU);
    std::memcpy(to.data(), from.const_data_ptr(), size_t(bytes_of_page(part)));
    to = to.subspan(size_t(bytes_of_page(part)));
  }
}

void KvCache::write_page(int64_t page, std::span<const std::byte> from) {
  FB_ASSERT(int64_t(from.size()) == page_bytes(), "the bytes of one page");
  for (const at::Tensor& part : parts_of_pages(*this)) {
    const at::Tensor to = part[page];
    const at::Tensor bytes = to.is_cpu() ? to : at::empty_like(to, to.options().device(at::kCPU));
    std::memcpy(bytes.mutable_data_ptr(), from.data(), size_t(bytes_of_page(part)));
    if (!to.is_cpu()) to.copy_(bytes);
    from = from.subspan(size_t(bytes_of_page(part)));
  }
}

std::string KvCache::dtype_name() const { return c10::toString(pages_XLPY.scalar_type()); }

}  // namespace finback
