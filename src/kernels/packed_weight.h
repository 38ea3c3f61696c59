// The weight of a linear layer as training multiplies by it: panels of its f32 values for both directions, packed again by its owner once an optimizer step,
// in the operand precision that is a field of the weight. Knows no products. What only serves is stored instead (stored_weight.h).
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

#include "gemm/precision.h"
#include "gemm/variant.h"

namespace finback {

enum class Word : uint32_t;  // gemm/quantized_panels.h

// Owner of {weight, panels, stamp}. Everything const may be called from any thread; the rest from the main thread, while no other reads.
class PackedWeight {
 public:
  // Which panels a pass reads: of W^T for y = x W^T, of W for dx = dy W.
  struct Use {
    bool forward = true, backward = true;
  };

  PackedWeight() = default;
  // weight: [N, K] or stacked [E, N, K] (rows contiguous, any stride between experts); `stamp` outlives this object and changes whenever
  // the values change.
  PackedWeight(at::Tensor weight, const uint64_t* stamp, Precision precision = Precision::kF32);
  const at::Tensor& weight() const { return weight_; }
  int64_t groups() const { return weight_.dim() == 3 ? weight_.size(0) : 1; }
  int64_t n() const { return weight_.size(-2); }
  int64_t k() const { return weight_.size(-1); }
  Precision precision() const { return precision_; }
  // f32, bf16 or fp8 from the next prepare() on.
  void set_precision(Precision precision);

  // Packs the panels asked for, unless they are there for these values, this precision and this kernel variant. None under the backend ref, whose
  // products read weight().
  void prepare(Use use = {true, true});
  // Of a group, f32: panels.h. REQUIRES: prepared in f32.
  const float* forward_panels(int64_t group = 0) const { return panels(forward_, group); }
  const float* backward_panels(int64_t group = 0) const { return panels(backward_, group); }
  // Of a group, bf16 or fp8: quantized_panels.h, for quantized_tile(precision()). REQUIRES: prepared in it.
  const Word* forward_words(int64_t group = 0) const { return words(forward_, group); }
  const Word* backward_words(int64_t group = 0) const { return words(backward_, group); }
  // The memory of all groups' forward or backward panels; undefined when they were never packed.
  const at::Tensor& memory(bool backward) const { return backward ? backward_.values : forward_.values; }

 private:
  // One direction's panels, and what they were packed for; kRef: nothing.
  struct Direction {
    at::Tensor values;  // [groups][panels][K or words][width], f32 or words
    uint64_t stamp = 0;
    Precision precision = Precision::kF32;
    Variant variant = Variant::kRef;
  };
  bool is_fresh(const Direction& panels) const;
  void pack(Direction& panels, bool transpose) const;
  const at::Tensor& fresh(const Direction& direction) const;
  const float* panels(const Direction& direction, int64_t group) const;
  const Word* words(const Direction& direction, int64_t group) const;

  at::Tensor weight_;
  const uint64_t* stamp_ = nullptr;
  Precision precision_ = Precision::kF32;
  Direction forward_, backward_;
};

// One that is prepared in both directions.
PackedWeight prepared(at::Tensor weight, const uint64_t* stamp, Precision precision = Precision::kF32);

// The reference: the f32 numbers that the panels of a precision stand for.
at::Tensor quantized_weight_ref(const at::Tensor& w_NK, Precision precision);

}  // namespace finback
