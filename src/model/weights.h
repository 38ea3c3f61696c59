// The two kinds of weight that layers are made of, each with its gradient view: a matrix and a norm. Their backward functions return the
// gradient of the input and add the weight's own gradient into the flat buffer. Knows no layer.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>

#include "kernels/linear.h"
#include "kernels/rms_norm.h"
#include "model/parameters.h"

namespace finback {

struct Linear {
  PackedWeight weight;
  at::Tensor grad;  // same shape; undefined when the model is not trainable

  Linear() = default;
  // `name` without ".weight".
  Linear(const Parameters& parameters, const std::string& name);
  at::Tensor forward(const at::Tensor& x_TK) const { return linear(x_TK, weight); }
  // dx; adds dw = dy^T x.
  at::Tensor backward(const at::Tensor& dy_TN, const at::Tensor& x_TK) const {
    linear_wgrad_(grad, dy_TN, x_TK);
    return linear_dgrad(dy_TN, weight);
  }
};

// gate_proj and up_proj below `prefix` ("model.layers.0.mlp.") as one matrix [2F, D], gate rows first: they are neighbours in the buffer.
Linear fused_gate_up(const Parameters& parameters, const std::string& prefix);

struct Norm {
  at::Tensor weight_D, grad_D;
  double eps = 1e-6;

  Norm() = default;
  Norm(const Parameters& parameters, const std::string& name, double eps);
  RmsNorm forward(const at::Tensor& x_TD) const { return rms_norm(x_TD, weight_D, eps); }
  // dx; adds dw. rstd_T of the forward pass.
  at::Tensor backward(const at::Tensor& dy_TD, const at::Tensor& x_TD, const at::Tensor& rstd_T) const {
    return rms_norm_backward(dy_TD, x_TD, weight_D, rstd_T, grad_D);
  }
};

}  // namespace finback
