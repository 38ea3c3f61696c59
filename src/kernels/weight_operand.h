// What a linear layer multiplies by, whoever owns it: f32 panels of a weight in training (packed_weight.h) or a stored weight (stored_weight.h). A view, so its
// owner outlives it; const and thread-safe as its owner is. Knows no products.
#pragma once
#include "base/error.h"
#include "kernels/packed_weight.h"
#include "kernels/stored_weight.h"

namespace finback {

class WeightOperand {
 public:
  // REQUIRES: in f32; weights in bf16 and fp8 belong to quantized_linear.h.
  WeightOperand(const PackedWeight& weight) : packed_(&weight) {
    FB_ASSERT(weight.precision() == Precision::kF32, "bf16 and fp8 weights belong to quantized_linear");
  }
  WeightOperand(const StoredWeight& weight) : stored_(&weight) {}

  int64_t groups() const { return packed_ != nullptr ? packed_->groups() : stored_->groups(); }
  int64_t n() const { return packed_ != nullptr ? packed_->n() : stored_->n(); }
  int64_t k() const { return packed_ != nullptr ? packed_->k() : stored_->k(); }
  // Of group e: of W^T for y = x W^T, of W for x W. A stored weight has one of them.
  Panels forward(int64_t group = 0) const {
    return packed_ != nullptr ? Panels(packed_->forward_panels(group)) : stored(false).panels(group);
  }
  Panels backward(int64_t group = 0) const {
    return packed_ != nullptr ? Panels(packed_->backward_panels(group)) : stored(true).panels(group);
  }
  // For the backend ref: the numbers of W, and those that x stands for where it meets them.
  at::Tensor forward_numbers() const { return packed_ != nullptr ? packed_->weight() : stored(false).numbers(); }
  at::Tensor backward_numbers() const { return packed_ != nullptr ? packed_->weight() : stored(true).numbers(); }
  at::Tensor input_numbers(const at::Tensor& x) const {
    return stored_ != nullptr && stored_->precision() == Precision::kInt8 ? int8_activations_ref(x) : x;
  }

 private:
  const StoredWeight& stored(bool transposed) const {
    FB_ASSERT(stored_->transposed() == transposed, "a weight is stored for the products x W^T or for x W");
    return *stored_;
  }
  const PackedWeight* packed_ = nullptr;
  const StoredWeight* stored_ = nullptr;
};

}  // namespace finback
