// AdamW's state: two flat f32 moments in the layout of Parameters, and the step count. Clipping by the global norm happens here, because it
// is one multiplication of the gradient that AdamW reads anyway. Knows no schedule, no files.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "kernels/adamw.h"
#include "model/parameters.h"
#include "train/train_config.h"

namespace finback {

class Optimizer {
 public:
  // Moments start at zero, on the parameters' device.
  Optimizer(Parameters& parameters, const OptimizerSection& config);

  // One update from Parameters::grads_P: clip to `max_norm` (0: off) given the norm already measured, AdamW at `lr`, then touch().
  // step_number counts from 1 (bias correction). REQUIRES: finite gradients. See Note [What a step trains].
  void step(double lr, int64_t step_number, double grad_norm, double max_norm, int64_t mtp_trained);

  const at::Tensor& m_P() const { return m_P_; }
  const at::Tensor& v_P() const { return v_P_; }

 private:
  Parameters& parameters_;
  OptimizerSection config_;
  std::vector<FlatRange> decayed_;
  at::Tensor m_P_, v_P_;
};

// Matrices of the flat buffer, neighbours joined.
std::vector<FlatRange> decayed_ranges(const std::vector<ParameterSpec>& specs);
// min(1, max_norm / (norm + 1e-6)), as torch.nn.utils.clip_grad_norm_; 1 when max_norm is 0.
double clip_scale(double norm, double max_norm);
// L2 norm of all gradients: the squares of each piece (model/tensor_pieces.h) in f64, the pieces added exactly, so it depends on no cut or order.
double gradient_norm(const Parameters& parameters);
// Name of the tensor that holds element `index` of the flat buffer.
std::string parameter_at(const std::vector<ParameterSpec>& specs, int64_t index);

}  // namespace finback
