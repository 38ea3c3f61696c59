// Row-invariant f32 matrix multiplication on the thread pool; raw pointers, knows no tensors. Panels of B may be stored in 16 or 8 bits: a few
// rows (decoding) read them once as they are stored, many rows widen some of them at a time; a widened number is a f32 number, and so all is as in f32.
// Every element of C is ONE chain of fused multiply-adds over k = 0..K-1 in order (multiply then add in the portable variant), starting from 0 or, with
// accumulate, from the C that is there; of int8 panels, a chain of sums of integers (int8_gemm.h). So its bits depend on its row of A, its column of B and K alone: not on M, N,
// tiles, threads, or on how a sum over K was cut into several accumulating calls. See Note [One FMA chain] in f32_gemm.cpp.
#pragma once
#include <cstdint>
#include <span>

#include "gemm/gemm_job.h"

namespace finback {

// All jobs in one pool loop (experts, heads): no two may write the same element. Runs inline when called from inside a pool loop.
void gemm_all(std::span<const GemmJob> jobs, bool accumulate);

void gemm(int64_t m, int64_t n, int64_t k, Operand a_MK, Operand b_KN, float* c_MN, int64_t ldc, bool accumulate);
void gemm_packed(int64_t m, int64_t n, int64_t k, Operand a_MK, Panels packed_b, float* c_MN, int64_t ldc, bool accumulate);

}  // namespace finback
