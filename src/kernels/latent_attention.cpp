#include "kernels/latent_attention.h"

#include "kernels/ref_grad.h"

namespace finback {

LatentAttention latent_attention(const at::Tensor& q_THY, const LatentKeys& keys, int64_t c, double scale) {
  return latent_attention_ref(q_THY, keys, c, scale);
}

LatentAttentionGrad latent_attention_backward(const at::Tensor& do_THC, const at::Tensor& q_THY, const LatentKeys& keys, int64_t c,
                                              const LatentAttention& saved, double scale) {
  const auto grads = gradients_of(
      [&](const std::vector<at::Tensor>& in) {
        LatentKeys with_leaf = keys;
        with_leaf.self_TY = in[1];
        return std::vector<at::Tensor>{latent_attention_ref(in[0], with_leaf, c, scale).o_THC};
      },
      {q_THY, keys.self_TY}, {do_THC});
  return {grads[0], grads[1]};
}

}  // namespace finback
