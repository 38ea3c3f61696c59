// One matrix product of a call: its operands, where its result goes. Knows no arithmetic; f32_gemm.h and int8_gemm.h multiply.
#pragma once
#include "gemm/panels.h"

namespace finback {

// C[M,N] (+)= A[M,K] * B[K,N]; C row-major with row stride ldc. packed_b.values null: b is packed into scratch of this call.
struct GemmJob {
  int64_t m, n, k;
  Operand a_MK, b_KN;
  Panels packed_b;
  float* c_MN;
  int64_t ldc;
};

}  // namespace finback
