// The two kinds of weight that layers are made of, each with its gradient view: a matrix (or one an expert) and a norm. Their backward
// functions return the gradient of the input and add the weight's own gradient into the flat buffer. A matrix is read from panels of the model's own f32
// values, or from a stored weight that several models may share. Knows no layer.
#pragma once
#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/linear.h"
#include "kernels/rms_norm.h"
#include "model/linear_input.h"
#include "model/parameters.h"

namespace finback {

// A matrix as the products of a layer read it.
struct LayerMatrix {
  // The tensor's without ".weight"; of several joined "model.layers.0.mlp.gate_up_proj", "model.layers.3.mlp.experts.down_proj"; of kv_b_proj's rows by head
  // "model.layers.0.self_attn.w_uk" and "w_uv".
  std::string name;
  PackedWeight packed;
  bool transposed = false;                     // the forward pass multiplies by W, not by W^T
  std::shared_ptr<const StoredWeight> stored;  // serving: read instead of `packed` when set

  // Packs what the forward pass reads and, with `backward`, what its backward pass does, unless it is there already (PackedWeight::prepare).
  void prepare(bool backward);
  WeightOperand operand() const { return stored != nullptr ? WeightOperand(*stored) : WeightOperand(packed); }
  // What the forward pass reads, without scales; undefined when it was never prepared.
  const at::Tensor& memory() const { return stored != nullptr ? stored->memory() : packed.memory(transposed); }
};

// Called with every matrix of projections that a layer multiplies by: attention, experts and FFNs, not the router.
using ProjectionVisitor = std::function<void(LayerMatrix&)>;

class PrecisionAudit;

// One matrix for all rows, or one per expert for its permuted rows (weight [E, N, K]).
struct Linear {
  LayerMatrix weight;
  at::Tensor grad;  // same shape; undefined when the model is not trainable
  Precision wgrad = Precision::kF32;

  Linear() = default;
  Linear(const Parameters& parameters, const std::string& linear_name);
  Linear(std::string linear_name, at::Tensor values, at::Tensor gradients, const Parameters& parameters);
  void set_numerics(const Numerics& numerics);
  const std::string& name() const { return weight.name; }
  void prepare(bool backward) { weight.prepare(backward); }
  Precision precision() const { return weight.packed.precision(); }
  const at::Tensor& values() const { return weight.packed.weight(); }
  // f32 outside the layers' numerics: router, eh_proj.
  at::Tensor forward(const at::Tensor& x_TK) const { return linear(x_TK, weight.operand()); }
  // dx; adds dw = dy^T x.
  at::Tensor backward(const at::Tensor& dy_TN, const at::Tensor& x_TK) const {
    linear_wgrad_(grad, dy_TN, x_TK);
    return linear_dgrad(dy_TN, weight.operand());
  }
  // The same in the weight's precision, rows in the order of `groups`; `audit` may be null. f32 rows are permuted already: groups.source_rows_S is undefined.
  at::Tensor forward(const LinearInput& x, const RowGroups& groups, PrecisionAudit* audit) const;
  at::Tensor backward(const at::Tensor& dy_SN, const LinearInput& x, const RowGroups& groups, PrecisionAudit* audit) const;
};

// Forward passes that wait for nothing of each other; in f32 numerics one pool loop.
struct LinearUse {
  const Linear* linear;
  const LinearInput* x;
  const RowGroups* groups;
};
std::vector<at::Tensor> forward_all(std::span<const LinearUse> uses, PrecisionAudit* audit);

// gate_proj and up_proj below `prefix` ("model.layers.0.mlp.") as one matrix [2F, D], gate rows first: they are neighbours in the buffer.
Linear fused_gate_up(const Parameters& parameters, const std::string& prefix);

struct Norm {
  at::Tensor weight_D, grad_D;
  double eps = 1e-6;

  Norm() = default;
  Norm(const Parameters& parameters, const std::string& name, double eps);
  RmsNorm forward(const at::Tensor& x_TD) const { return rms_norm(x_TD, weight_D, eps); }
  // x_TD += residual_TD, and the norm of the sum.
  RmsNorm add_forward_(const at::Tensor& x_TD, const at::Tensor& residual_TD) const {
    return add_rms_norm_(x_TD, residual_TD, weight_D, eps);
  }
  // dx, with what comes down past the norm added if there is any; adds dw. rstd_T of the forward pass.
  at::Tensor backward(const at::Tensor& dy_TD, const at::Tensor& x_TD, const at::Tensor& rstd_T,
                      const at::Tensor& residual_dy_TD = {}) const {
    return rms_norm_backward(dy_TD, x_TD, weight_D, rstd_T, grad_D, residual_dy_TD);
  }
};

}  // namespace finback
