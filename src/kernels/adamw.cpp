#include "kernels/adamw.h"

#include <ATen/ATen.h>

namespace finback {

void adamw_(const at::Tensor& values_P, const at::Tensor& grads_P, const at::Tensor& m_P, const at::Tensor& v_P,
            const std::vector<FlatRange>& decayed, const AdamwOptions& options) {
  adamw_ref_(values_P, grads_P, m_P, v_P, decayed, options);
}

double sum_of_squares(const at::Tensor& flat_P) { return flat_P.to(at::kDouble).square().sum().item<double>(); }

int64_t first_nonfinite(const at::Tensor& flat_P) {
  const at::Tensor bad = at::isfinite(flat_P).logical_not().nonzero();
  return bad.size(0) > 0 ? bad[0][0].item<int64_t>() : -1;
}

}  // namespace finback
