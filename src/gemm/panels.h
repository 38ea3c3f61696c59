// The operands of matrix products: a matrix in memory, and panels of B, which is B packed for the register tile once for many calls, in f32, bf16, fp8 or
// int8. Raw pointers; knows no products and no tensors.
#pragma once
#include <cstdint>
#include <span>

#include "gemm/precision.h"

namespace finback {

// A matrix operand in memory: element (r, c) at data[r * row_stride + c * column_stride]; one of the two strides is 1.
struct Operand {
  const float* data;
  int64_t row_stride, column_stride;
};

constexpr int64_t kInt8Block = 32;  // values of a column along K that share an int8 scale
constexpr int64_t kInt8Step = 4;    // of which so many lie together
constexpr int64_t kInt8Width = 32;  // columns of a panel, in every kernel variant: a file holds panels that each of them reads

// B packed once for many calls: panels of panel_width(precision) columns, [ceil(N / width)][K][width], the last panel padded with zeros.
struct Panels {
  const void* values = nullptr;
  Precision precision = Precision::kF32;
  // fp8: f32 [panels][ceil(K / 128)]; a number is its code times its scale, rounded to f32. int8: bf16 [panels][ceil(K / kInt8Block)][width], and values
  // are [panels][ceil(K / 4)][width][4] of code + 128.
  const void* scales = nullptr;

  Panels() = default;
  Panels(const float* packed) : values(packed) {}
  Panels(const void* stored, Precision kind, const void* stored_scales) : values(stored), precision(kind), scales(stored_scales) {}
};
// Bytes of one stored number.
constexpr int64_t value_bytes(Precision p) { return p == Precision::kF32 ? 4 : p == Precision::kBf16 ? 2 : 1; }
// Panel `index` and those behind it; width: panel_width(panels.precision).
Panels panel_at(const Panels& panels, int64_t index, int64_t k, int64_t width);
// Columns of a panel: of the register tile of the kernel variant; of int8 kInt8Width.
int64_t panel_width(Precision precision = Precision::kF32);
int64_t packed_floats(int64_t k, int64_t n);
struct PanelJob {
  int64_t k, n;
  Operand b_KN;
  float* packed;
};
void pack_panels(std::span<const PanelJob> jobs);
void pack_panels(int64_t k, int64_t n, Operand b_KN, float* packed);

}  // namespace finback
