// Linear layers and grouped linear layers (one weight an expert) over packed rows; weights are packed once per optimizer step by their
// owner. Knows no experts beyond "group e owns rows offsets[e]..offsets[e+1]". The functions of this file are f32; the operand precision is a
// field of the weight, and narrower ones are multiplied by narrow_linear.h. For serving a weight may be stored in 8 or 16 bits: see
// stored_panels.h.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/narrow_rows.h"
#include "kernels/stored_panels.h"

namespace finback {

// Owner of {weight, packed forms, stamp}: repacks when the stamp it was built with moved on. Not thread-safe: call from the main thread.
class PackedWeight {
 public:
  PackedWeight() = default;
  // weight: [N, K] or stacked [E, N, K] (rows contiguous, any stride between experts); `stamp` outlives this object and changes whenever
  // the values change.
  PackedWeight(at::Tensor weight, const uint64_t* stamp, Precision precision = Precision::kF32);
  const at::Tensor& weight() const { return weight_; }
  int64_t groups() const { return weight_.dim() == 3 ? weight_.size(0) : 1; }
  int64_t n() const { return weight_.size(-2); }
  int64_t k() const { return weight_.size(-1); }
  Precision precision() const { return precision_; }
  // f32, bf16 or fp8 from the next multiplication on.
  void set_precision(Precision precision);
  // Panels of W^T of group e for y = x W^T, and of W for dx = dy W: of gemm.h, or of narrow_gemm.h when the precision is not f32.
  const float* forward_panels(int64_t group = 0) const;
  const float* backward_panels(int64_t group = 0) const;
  // Serving: from now on products read the weight in this storage (stored_panels.h) instead of f32 panels.
  void store(Precision storage);
  // What the products of this file multiply by: f32 panels or stored ones; and the f32 numbers that they stand for, and those that x does.
  Panels forward_operand(int64_t group = 0) const;
  Panels backward_operand(int64_t group = 0) const;
  // The memory that y = x W^T reads, every group's: f32 panels, or stored codes without their scales.
  at::Tensor forward_memory() const;
  at::Tensor forward_values() const { return stored_values(false); }
  at::Tensor backward_values() const { return stored_values(true); }
  at::Tensor input_values(const at::Tensor& x) const;

 private:
  at::Tensor weight_;
  const uint64_t* stamp_ = nullptr;
  Precision precision_ = Precision::kF32;
  at::Tensor stored_values(bool backward) const;
  const StoredPanels& stored(bool backward) const;
  Precision storage_ = Precision::kF32;
  mutable at::Tensor forward_, backward_;
  mutable StoredPanels stored_[2];  // forward, backward
  mutable uint64_t stored_stamps_[2] = {~uint64_t{0}, ~uint64_t{0}};
  mutable uint64_t forward_stamp_ = ~uint64_t{0}, backward_stamp_ = ~uint64_t{0};
};

// y_TN = x_TK W^T; x's rows may be strided (a column slice), y is new.
at::Tensor linear(const at::Tensor& x_TK, const PackedWeight& w);
// dx_TK = dy_TN W.
at::Tensor linear_dgrad(const at::Tensor& dy_TN, const PackedWeight& w);
// dw_NK += dy_TN^T x_TK, tokens in order: micro-batches that accumulate give the bits of one big batch.
void linear_wgrad_(const at::Tensor& dw_NK, const at::Tensor& dy_TN, const at::Tensor& x_TK);

// Rows [offsets[e], offsets[e+1]) use group e; a group may be empty. offsets has groups + 1 entries, offsets.back() == rows of x.
at::Tensor grouped_linear(const at::Tensor& x_SK, const PackedWeight& w, const std::vector<int64_t>& offsets);
at::Tensor grouped_linear_dgrad(const at::Tensor& dy_SN, const PackedWeight& w, const std::vector<int64_t>& offsets);
void grouped_linear_wgrad_(const at::Tensor& dw_ENK, const at::Tensor& dy_SN, const at::Tensor& x_SK, const std::vector<int64_t>& offsets);

// Layers that wait for nothing of each other, in one pool loop: y of each, the bits of linear (offsets null) and grouped_linear.
struct LinearCall {
  const at::Tensor* x;
  const PackedWeight* w;
  const std::vector<int64_t>* offsets = nullptr;
};
std::vector<at::Tensor> linear_all(std::span<const LinearCall> calls);

// One small matrix a head, for the absorbed algebra: y_THN[:, h] = x_THK[:, h] W[h]^T, and its transpose x W[h].
// w is [H, N, K], a strided view of kv_b_proj. Gradients: dgrad is the other function, wgrad adds into dw_HNK.
at::Tensor heads_linear(const at::Tensor& x_THK, const PackedWeight& w);
at::Tensor heads_linear_t(const at::Tensor& x_THN, const PackedWeight& w);
void heads_linear_wgrad_(const at::Tensor& dw_HNK, const at::Tensor& dy_THN, const at::Tensor& x_THK);

// The definitions.
at::Tensor linear_ref(const at::Tensor& x_TK, const at::Tensor& w_NK);
at::Tensor grouped_linear_ref(const at::Tensor& x_SK, const at::Tensor& w_ENK, const std::vector<int64_t>& offsets);
// Of heads_linear_t: the same with W transposed.
at::Tensor heads_linear_ref(const at::Tensor& x_THK, const at::Tensor& w_HNK);

}  // namespace finback
