// Row-invariant f32 matrix multiplication on the thread pool; raw pointers, knows no tensors.
// Every element of C is ONE chain of fused multiply-adds over k = 0..K-1 in order (multiply then add in the portable variant), starting
// from 0 or, with accumulate, from the C that is there. So its bits depend on its row of A, its column of B and K alone: not on M, N,
// tiles, threads, or on how a sum over K was cut into several accumulating calls. See Note [One FMA chain] in gemm.cpp.
#pragma once
#include <cstdint>
#include <span>

namespace finback {

// A matrix operand in memory: element (r, c) at data[r * row_stride + c * column_stride]; one of the two strides is 1.
struct Operand {
  const float* data;
  int64_t row_stride, column_stride;
};

// B packed once for many calls: panels of panel_width() columns, [ceil(N / width)][K][width], the last panel padded with zeros.
int64_t panel_width();
int64_t packed_floats(int64_t k, int64_t n);
struct PanelJob {
  int64_t k, n;
  Operand b_KN;
  float* packed;
};
void pack_panels(std::span<const PanelJob> jobs);
void pack_panels(int64_t k, int64_t n, Operand b_KN, float* packed);

// C[M,N] (+)= A[M,K] * B[K,N]; C row-major with row stride ldc. packed_b null: b is packed into scratch of this call.
struct GemmJob {
  int64_t m, n, k;
  Operand a_MK, b_KN;
  const float* packed_b;
  float* c_MN;
  int64_t ldc;
};
// All jobs in one pool loop (experts, heads): no two may write the same element. Runs inline when called from inside a pool loop.
void gemm_all(std::span<const GemmJob> jobs, bool accumulate);

void gemm(int64_t m, int64_t n, int64_t k, Operand a_MK, Operand b_KN, float* c_MN, int64_t ldc, bool accumulate);
void gemm_packed(int64_t m, int64_t n, int64_t k, Operand a_MK, const float* packed_b, float* c_MN, int64_t ldc, bool accumulate);

}  // namespace finback
