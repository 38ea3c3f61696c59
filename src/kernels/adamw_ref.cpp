#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "kernels/adamw.h"

namespace finback {

void adamw_ref_(const at::Tensor& values_P, const at::Tensor& grads_P, const at::Tensor& m_P, const at::Tensor& v_P,
                const std::vector<FlatRange>& decayed, const AdamwOptions& o) {
  const at::NoGradGuard no_grad;
  for (const FlatRange& range : decayed) values_P.slice(0, range.begin, range.end).mul_(1.0 - o.lr * o.weight_decay);
  const at::Tensor g_P = grads_P * o.grad_scale;
  m_P.mul_(o.beta1).add_(g_P, 1.0 - o.beta1);
  v_P.mul_(o.beta2).addcmul_(g_P, g_P, 1.0 - o.beta2);
  const double correction1 = 1.0 - std::pow(o.beta1, double(o.step)), correction2 = 1.0 - std::pow(o.beta2, double(o.step));
  const at::Tensor denominator_P = (v_P / correction2).sqrt_().add_(o.eps);
  values_P.addcdiv_(m_P, denominator_P, -o.lr / correction1);
}

}  // namespace finback
