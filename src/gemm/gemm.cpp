#include "gemm/gemm.h"

#include "gemm/f32_gemm.h"
#include "gemm/int8_gemm.h"

namespace finback {

void gemm_all(std::span<const GemmJob> jobs, bool accumulate) {
  const bool int8 = !jobs.empty() && jobs.front().packed_b.precision == Precision::kInt8;
  int8 ? int8_gemm_all(jobs, accumulate) : f32_gemm_all(jobs, accumulate);
}

void gemm(int64_t m, int64_t n, int64_t k, Operand a_MK, Operand b_KN, float* c_MN, int64_t ldc, bool accumulate) {
  const GemmJob job = {m, n, k, a_MK, b_KN, {}, c_MN, ldc};
  gemm_all({&job, 1}, accumulate);
}

void gemm_packed(int64_t m, int64_t n, int64_t k, Operand a_MK, Panels packed_b, float* c_MN, int64_t ldc, bool accumulate) {
  const GemmJob job = {m, n, k, a_MK, {}, packed_b, c_MN, ldc};
  gemm_all({&job, 1}, accumulate);
}

}  // namespace finback
