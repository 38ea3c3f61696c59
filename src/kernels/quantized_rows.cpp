#include "kernels/quantized_rows.h"

#include <ATen/ATen.h>

#include "base/pool.h"
#include "gemm/quantize_cpu.h"
#include "kernels/backend.h"
#include "kernels/fp8_block.h"
#include "kernels/rows.h"

namespace finback {
namespace {

constexpr int64_t kQuantizedRowsRows = 32;

at::Tensor dequantize_fp8(const QuantizedRows& rows) {
  const int64_t count = rows.count(), columns = rows.columns(), tiles = rows.scales.size(1), stride = rows.values_TK.stride(0);
  const at::Tensor x_TK = at::empty({count, columns}, rows.scales.options());
  const auto* codes = static_cast<const uint8_t*>(rows.values_TK.const_data_ptr());
  const float* scales = rows.scales.const_data_ptr<float>();
  float* x = x_TK.mutable_data_ptr<float>();
  parallel_ranges(count, kQuantizedRowsRows, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t b = 0; b < tiles; ++b) {
        const int64_t first = b * kFp8Block, n = std::min(kFp8Block, columns - first);
        quantize_loops().decode(n, codes + t * stride + first, scales[t * tiles + b], x + t * columns + first);
      }
    }
  });
  return x_TK;
}

}  // namespace

QuantizedRows quantize_rows(const at::Tensor& x_TK, Precision precision) {
  switch (precision) {
    case Precision::kF32:
      return {precision, x_TK, {}};
    case Precision::kBf16:
      return {precision, x_TK.to(at::kBFloat16, /*non_blocking=*/false, /*copy=*/false, at::MemoryFormat::Contiguous), {}};
    case Precision::kFp8: {
      Fp8Blocks tiles = fp8_quantize_activation(x_TK, /*power_of_two_scales=*/true, kFp8TrainingFloor);
      return {precision, std::move(tiles.values), std::move(tiles.scales)};
    }
    case Precision::kInt8:
      break;
  }
  FB_FAIL("expected f32, bf16 or fp8 for training, got {}", precision_name(precision));
}

at::Tensor dequantize_rows(const QuantizedRows& rows) {
  if (rows.precision != Precision::kFp8) return rows.values_TK.to(at::kFloat);
  if (backend_of(rows.values_TK) == Backend::kCpu) return dequantize_fp8(rows);
  const at::Tensor spread = rows.scales.repeat_interleave(kFp8Block, 1).narrow(1, 0, rows.columns());
  return rows.values_TK.to(at::kFloat) * spread;
}

}  // namespace finback
