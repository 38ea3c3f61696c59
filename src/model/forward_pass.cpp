#include "model/forward_pass.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/error.h"
#include "model/precision_audit.h"

namespace finback {
namespace {

std::vector<int64_t> document_starts(const Batch& batch) {
  std::vector<int64_t> starts = {0};
  for (const Sequence& s : batch.sequences) {
    const bool itself =
        s.keys.size() == 1 && s.keys[0].where == KeySegment::Where::kBatch && s.keys[0].begin == s.first_row && s.keys[0].count == s.rows;
    FB_ASSERT(itself && s.cached_tokens == 0, "the expanded algebra runs whole documents; everything else is absorbed");
    starts.push_back(s.first_row + s.rows);
  }
  return starts;
}

// Key rows counted from layer 0 of the cache: layer l's pool starts l pages of 64 rows later, so the list serves every layer.
LatentKeys latent_keys(const Batch& batch, const KvCache* cache, int64_t slot_shift) {
  LatentKeys keys;
  keys.row_starts = keys.key_starts = {0};
  for (const Sequence& s : batch.sequences) {
    for (const KeySegment& segment : s.keys) {
      for (int64_t i = segment.begin; i < segment.begin + segment.count; ++i) {
        if (segment.where == KeySegment::Where::kBatch) {
          keys.key_rows.push_back(-1 - i);
        } else {
          FB_ASSERT(cache != nullptr, "keys in a cache need the cache");
          const int64_t slot = i + slot_shift;
          FB_ASSERT(slot / kPageTokens < int64_t(s.pages.size()), "the sequence has pages for all its keys");
          keys.key_rows.push_back(cache->row(s.pages[size_t(slot / kPageTokens)], 0, slot % kPageTokens));
        }
      }
    }
    keys.key_starts.push_back(int64_t(keys.key_rows.size()));
    keys.row_starts.push_back(s.first_row + s.rows);
  }
  return keys;
}

void check_positions(const at::Tensor& positions_T, int64_t limit) {
  if (positions_T.numel() == 0) return;
  const int64_t low = positions_T.min().item<int64_t>(), high = positions_T.max().item<int64_t>();
  FB_CHECK(low >= 0 && high < limit, "expected positions from 0 to {} (max_position_embeddings), got {}", limit - 1, low < 0 ? low : high);
}

}  // namespace

std::shared_ptr<ForwardPass> make_forward_pass(const Batch& batch, const ForwardOptions& options, const at::Tensor& cos_sin_SR,
                                               bool half_layout, int64_t slot_shift) {
  check_positions(batch.positions_T, cos_sin_SR.size(0));
  FB_ASSERT(!batch.sequences.empty() && batch.sequences.back().first_row + batch.sequences.back().rows == batch.tokens(),
            "sequences cover the rows");
  FB_ASSERT(options.cache == nullptr || options.algebra == MlaAlgebra::kAbsorbed, "the latent cache is read in the absorbed algebra");
  auto pass = std::make_shared<ForwardPass>();
  pass->positions_T = batch.positions_T;
  pass->cos_sin_SR = cos_sin_SR;
  pass->half_layout = half_layout;
  pass->algebra = options.algebra;
  pass->balance_scale = options.balance_scale;
  const at::Device device = batch.tokens_T.device();
  const std::vector<int64_t>& rows = batch.balance_starts;
  pass->balance_starts_R1 = at::tensor(rows).to(device);
  pass->row_slots = one_group(batch.tokens(), rows.empty() ? at::Tensor() : pass->balance_starts_R1, device);
  pass->audit = options.audit;
  if (pass->audit != nullptr) {
    pass->row_slots.sampled_E = at::tensor({std::min(kAuditedTokens, rows.empty() ? batch.tokens() : rows[1])}, at::kLong).to(device);
  }
  if (options.algebra == MlaAlgebra::kExpanded) {
    pass->starts_B1 = at::tensor(document_starts(batch)).to(device);
  } else {
    pass->keys = latent_keys(batch, options.cache, slot_shift);
  }
  pass->batch = &batch;
  pass->cache = options.cache;
  pass->slot_shift = slot_shift;
  pass->log = options.log;
  return pass;
}

}  // namespace finback
