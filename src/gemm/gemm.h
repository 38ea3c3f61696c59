// Row-invariant f32 matrix multiplication on the thread pool; raw pointers, knows no tensors. Panels of B may be stored narrower: a few rows
// (decoding) read them once as they are stored, many rows widen a piece at a time; a widened number is a f32 number, and so all is as in f32.
// Every element of C is ONE chain of fused multiply-adds over k = 0..K-1 in order (multiply then add in the portable variant), starting from 0 or, with
// accumulate, from the C that is there; of int8 panels, a chain of sums of whole numbers (int8_gemm.h). So its bits depend on its row of A, its column of B and K alone: not on M, N,
// tiles, threads, or on how a sum over K was cut into several accumulating calls. See Note [One FMA chain] in gemm.cpp.
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

// B packed once for many calls: panels of panel_width() columns, [ceil(N / width)][K][width], the last panel padded with zeros.
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
// Panel `index` and those behind it; width: panel_width().
Panels panel_at(const Panels& panels, int64_t index, int64_t k, int64_t width);
int64_t panel_width();
int64_t packed_floats(int64_t k, int64_t n);
struct PanelJob {
  int64_t k, n;
  Operand b_KN;
  float* packed;
};
void pack_panels(std::span<const PanelJob> jobs);
void pack_panels(int64_t k, int64_t n, Operand b_KN, float* packed);

// C[M,N] (+)= A[M,K] * B[K,N]; C row-major with row stride ldc. packed_b.values null: b is packed into scratch of this call.
struct GemmJob {
  int64_t m, n, k;
  Operand a_MK, b_KN;
  Panels packed_b;
  float* c_MN;
  int64_t ldc;
};
// All jobs in one pool loop (experts, heads): no two may write the same element. Runs inline when called from inside a pool loop.
void gemm_all(std::span<const GemmJob> jobs, bool accumulate);

void gemm(int64_t m, int64_t n, int64_t k, Operand a_MK, Operand b_KN, float* c_MN, int64_t ldc, bool accumulate);
void gemm_packed(int64_t m, int64_t n, int64_t k, Operand a_MK, Panels packed_b, float* c_MN, int64_t ldc, bool accumulate);

}  // namespace finback
