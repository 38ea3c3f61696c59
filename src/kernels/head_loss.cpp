#include "kernels/head_loss.h"

#include "base/error.h"

namespace finback {

HeadLoss head_loss(const at::Tensor& h_TD, const PackedWeight& head_WD, const at::Tensor& targets_T, const at::Tensor& d_head_WD,
                   double nll_scale, double z_scale) {
  return head_loss_ref(h_TD, head_WD.weight(), targets_T, d_head_WD, nll_scale, z_scale);
}

}  // namespace finback
