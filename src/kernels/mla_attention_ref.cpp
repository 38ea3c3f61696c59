#include <ATen/ATen.h>

#include <limits>

#include "kernels/host_values.h"
#include "kernels/mla_attention.h"

namespace finback {

MlaAttention mla_attention_ref(const MlaInputs& x) {
  const auto& [q_THX, kv_THY, k_rope_TR, starts_B1, scale] = x;
  const int64_t heads = q_THX.size(1), n = q_THX.size(2) - k_rope_TR.size(1);
  const std::vector<int64_t> starts = fetched_values(starts_B1);
  std::vector<at::Tensor> outputs, lses;
  for (size_t b = 0; b + 1 < starts.size(); ++b) {
    const int64_t begin = starts[b], end = starts[b + 1];
    const at::Tensor q = q_THX.slice(0, begin, end).transpose(0, 1);
    const at::Tensor kv = kv_THY.slice(0, begin, end);
    const at::Tensor k_rope = k_rope_TR.slice(0, begin, end).unsqueeze(1).expand({end - begin, heads, k_rope_TR.size(1)});
    const at::Tensor k = at::cat({kv.slice(2, 0, n), k_rope}, 2).transpose(0, 1), v = kv.slice(2, n).transpose(0, 1);
    const at::Tensor future = at::ones({end - begin, end - begin}, q.options().dtype(at::kBool)).triu(1);
    const at::Tensor scores = (at::matmul(q, k.transpose(1, 2)) * scale).masked_fill(future, -std::numeric_limits<double>::infinity());
    outputs.push_back(at::matmul(at::softmax(scores, -1), v).transpose(0, 1));
    lses.push_back(at::logsumexp(scores, {-1}).transpose(0, 1));
  }
  if (outputs.empty()) return {at::zeros({0, heads, kv_THY.size(2) - n}, q_THX.options()), at::zeros({0, heads}, q_THX.options())};
  return {at::cat(outputs, 0).contiguous(), at::cat(lses, 0).contiguous()};
}

}  // namespace finback
