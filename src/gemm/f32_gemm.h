// Products of gemm.h whose panels stand for f32 numbers: f32, bf16 or fp8, multiplied by f32 register tiles. Knows no tensors.
#pragma once
#include <span>

#include "gemm/gemm_job.h"

namespace finback {

// REQUIRES: packed_b of no job is int8.
void f32_gemm_all(std::span<const GemmJob> jobs, bool accumulate);

}  // namespace finback
