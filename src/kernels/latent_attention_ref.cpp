#include <ATen/ATen.h>

#include <limits>

#include "kernels/latent_attention.h"

namespace finback {

LatentAttention latent_attention_ref(const at::Tensor& q_THY, const LatentKeys& keys, int64_t c, double scale) {
  const int64_t heads = q_THY.size(1);
  std::vector<at::Tensor> outputs, lses;
  for (size_t b = 0; b + 1 < keys.row_starts.size(); ++b) {
    const int64_t begin = keys.row_starts[b], rows = keys.row_starts[b + 1] - begin;
    const int64_t first = keys.key_starts[b], count = keys.key_starts[b + 1] - first;
    if (rows == 0) continue;
    std::vector<at::Tensor> key_list;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t row = keys.key_rows[size_t(first + i)];
      key_list.push_back(row >= 0 ? keys.pool_SY[row] : keys.self_TY[-1 - row]);
    }
    const at::Tensor k = at::stack(key_list);                                  // [count, C + R]
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
