// Products with int8 panels: each row of A is rounded to 16 bits a block of 32, multiplied in integers, and a block's sum is added to an f32 chain. So an
// element's bits depend on its row of A, its column of B and K alone, as in gemm.h. Knows no tensors.
#pragma once
#include <span>

#include "gemm/gemm_job.h"

namespace finback {

// REQUIRES: packed_b of every job is int8; A's rows have unit column stride.
void int8_gemm_all(std::span<const GemmJob> jobs, bool accumulate);

}  // namespace finback
