#include "kernels/mla_attention.h"

#include "kernels/ref_grad.h"

namespace finback {

MlaAttention mla_attention(const at::Tensor& q_THX, const at::Tensor& kv_THY, const at::Tensor& k_rope_TR,
                           const std::vector<int64_t>& starts_B1, double scale) {
  return mla_attention_ref(q_THX, kv_THY, k_rope_TR, starts_B1, scale);
}

MlaAttentionGrad mla_attention_backward(const at::Tensor& do_THV, const at::Tensor& q_THX, const at::Tensor& kv_THY, const at::Tensor& k_rope_TR,
                                        const MlaAttention& saved, const std::vector<int64_t>& starts_B1, double scale) {
  const auto grads = gradients_of(
      [&](const std::vector<at::Tensor>& in) { return std::vector<at::Tensor>{mla_attention_ref(in[0], in[1], in[2], starts_B1, scale).o_THV}; },
      {q_THX, kv_THY, k_rope_TR}, {do_THV});
  return {grads[0], grads[1], grads[2]};
}

}  // namespace finback
