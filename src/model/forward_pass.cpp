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

// [B, M], M = the most pages of a sequence; unused places are 0.
at::Tensor block_table(const Batch& batch) {
  size_t most = 0;
  for (const Sequence& s : batch.sequences) most = std::max(most, s.pages.size());
  at::Tensor table_BM = at::zeros({int64_t(batch.sequences.size()), int64_t(most)}, at::kLong);
  int64_t* row = table_BM.mutable_data_ptr<int64_t>();
  for (const Sequence& s : batch.sequences) std::copy(s.pages.begin(), s.pages.end(), row), row += most;
  return table_BM;
}

// Everything but the latents themselves: the same for every layer.
LatentKeys latent_keys(const Batch& batch, const KvCache* cache, int64_t slot_shift, at::Device device) {
  std::vector<int64_t> row_starts = {0}, cached, segment_starts = {0}, segments;
  for (const Sequence& s : batch.sequences) {
    cached.push_back(0);
    for (const KeySegment& segment : s.keys) {
      if (segment.where == KeySegment::Where::kBatch) {
        segments.insert(segments.end(), {segment.begin, segment.count});
        continue;
      }
      FB_ASSERT(cache != nullptr, "keys in a cache need the cache");
      FB_ASSERT(&segment == &s.keys.front() && segment.begin == 0, "cached keys come first and begin with the sequence");
      FB_ASSERT(segment.count + slot_shift <= int64_t(s.pages.size()) * kPageTokens, "the sequence has pages for all its keys");
      cached.back() = segment.count;
    }
    segment_starts.push_back(int64_t(segments.size()) / 2);
    row_starts.push_back(s.first_row + s.rows);
  }
  LatentKeys keys;
  keys.row_starts_B1 = at::tensor(row_starts).to(device), keys.cached_B = at::tensor(cached).to(device);
  keys.segment_starts_B1 = at::tensor(segment_starts).to(device), keys.segments_G2 = at::tensor(segments).view({-1, 2}).to(device);
  keys.block_table_BM = block_table(batch).to(device), keys.first_slot = slot_shift;
  return keys;
}

void check_positions(const at::Tensor& positions_T, int64_t limit) {
  if (positions_T.numel() == 0) return;
  const int64_t low = positions_T.min().item<int64_t>(), high = positions_T.max().item<int64_t>();
  FB_CHECK(low >= 0 && high < limit, "expected positions from 0 to {} (max_position_embeddings), got {}", limit - 1, low < 0 ? low : high);
}

}  // namespace

std::shared_ptr<ForwardPass> make_forward_pass(const Batch& batch, const ForwardOptions& options, const at::Tensor& cos_sin_SR,
                                               bool rotate_half, int64_t slot_shift) {
  check_positions(batch.positions_T, cos_sin_SR.size(0));
  FB_ASSERT(!batch.sequences.empty() && batch.sequences.back().first_row + batch.sequences.back().rows == batch.tokens(),
            "sequences cover the rows");
  FB_ASSERT(options.cache == nullptr || options.algebra == MlaAlgebra::kAbsorbed, "the latent cache is read in the absorbed algebra");
  auto pass = std::make_shared<ForwardPass>();
  pass->positions_T = batch.positions_T;
  pass->cos_sin_SR = cos_sin_SR;
  pass->rotate_half = rotate_half;
  pass->algebra = options.algebra;
  pass->balance_scale = options.balance_scale;
  const at::Device device = batch.tokens_T.device();
  const std::vector<int64_t>& rows = batch.balance_starts;
  pass->balance_starts_A1 = at::tensor(rows).to(device);
  pass->row_groups = one_group(batch.tokens(), rows.empty() ? at::Tensor() : pass->balance_starts_A1, device);
  pass->audit = options.audit;
  if (pass->audit != nullptr) {
    pass->row_groups.sampled_E = at::tensor({std::min(kAuditedTokens, rows.empty() ? batch.tokens() : rows[1])}, at::kLong).to(device);
  }
  if (options.algebra == MlaAlgebra::kExpanded) {
    pass->starts_B1 = at::tensor(document_starts(batch)).to(device);
  } else {
    pass->keys = latent_keys(batch, options.cache, slot_shift, device);
  }
  pass->cache = options.cache;
  if (options.cache != nullptr) pass->slot_mapping_T = options.cache->slot_mapping_T(batch, slot_shift);
  pass->log = options.log;
  return pass;
}

}  // namespace finback
