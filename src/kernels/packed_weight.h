// The weight of a linear layer as the products read it: packed once per optimizer step by its owner, for both directions, in the operand precision that is
// a field of the weight; for serving it may be stored in 8 or 16 bits (stored_panels.h). Knows no products.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

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
  // Panels of W^T of group e for y = x W^T, and of W for dx = dy W: of panels.h, or of quantized_panels.h when the precision is not f32.
  const float* forward_panels(int64_t group = 0) const;
  const float* backward_panels(int64_t group = 0) const;
  // Serving: from now on products read the weight in this storage (stored_panels.h) instead of f32 panels.
  void store(Precision storage);
  // What linear.h multiplies by: f32 panels or stored ones; and the f32 numbers that they stand for, and those that x does.
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

// The definition: the f32 numbers that the panels of a precision stand for.
at::Tensor quantized_weight_ref(const at::Tensor& w_NK, Precision precision);

}  // namespace finback
