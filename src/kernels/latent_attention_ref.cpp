#include <ATen/ATen.h>

#include <limits>
#include <vector>

#include "kernels/host_values.h"
#include "kernels/latent_attention.h"

namespace finback {

namespace {

// Keys of sequence b that lie in pages.
at::Tensor cached_keys(const LatentKeys& keys, int64_t b, int64_t count) {
  const int64_t rows = keys.pages_XPY.size(1);
  const at::Tensor slots = at::arange(keys.first_slot, keys.first_slot + count, keys.block_table_BM.options());
  const at::Tensor pages = keys.block_table_BM[b].index_select(0, slots.div(rows, "floor"));
  return keys.pages_XPY.index({pages, slots.remainder(rows)});
}

}  // namespace

LatentAttention latent_attention_ref(const at::Tensor& q_THY, const LatentKeys& keys, int64_t c, double scale) {
  const int64_t heads = q_THY.size(1);
  const std::vector<int64_t> row_starts = fetched_values(keys.row_starts_B1), cached = fetched_values(keys.cached_B),
                             segment_starts = fetched_values(keys.segment_starts_B1), segments = fetched_values(keys.segments_G2.flatten());
  std::vector<at::Tensor> outputs, lses;
  for (size_t b = 0; b < cached.size(); ++b) {
    const int64_t begin = row_starts[b], rows = row_starts[b + 1] - begin;
    if (rows == 0) continue;
    std::vector<at::Tensor> parts;
    if (cached[b] > 0) parts.push_back(cached_keys(keys, int64_t(b), cached[b]));
    for (size_t g = size_t(segment_starts[b]); g < size_t(segment_starts[b + 1]); ++g) {
      parts.push_back(keys.self_TY.slice(0, segments[2 * g], segments[2 * g] + segments[2 * g + 1]));
    }
    const at::Tensor k = at::cat(parts, 0);  // [count, C + R]
    const int64_t count = k.size(0);
    const at::Tensor q = q_THY.slice(0, begin, begin + rows).transpose(0, 1);  // [H, rows, C + R]
    // The last row sees all keys, the row before one less.
    const at::Tensor hidden = at::ones({rows, count}, q.options().dtype(at::kBool)).triu(count - rows + 1);
    const at::Tensor scores = (at::matmul(q, k.t()) * scale).masked_fill(hidden, -std::numeric_limits<double>::infinity());
    outputs.push_back(at::matmul(at::softmax(scores, -1), k.slice(1, 0, c)).transpose(0, 1));
    lses.push_back(at::logsumexp(scores, {-1}).transpose(0, 1));
  }
  if (outputs.empty()) return {at::zeros({0, heads, c}, q_THY.options()), at::zeros({0, heads}, q_THY.options())};
  return {at::cat(outputs, 0).contiguous(), at::cat(lses, 0).contiguous()};
}

}  // namespace finback
