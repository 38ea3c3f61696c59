#include "kernels/quantized_rows.h"

#include <ATen/ATen.h>

#include "machine/bench.h"

namespace finback {

void bench_quantized_rows(Bench& bench) {
  const at::Tensor x_TK = at::randn({2048, 512});
  for (const Precision precision : {Precision::kBf16, Precision::kFp8}) {
    const QuantizedRows rows = quantize_rows(x_TK, precision);
    const double bytes = double(x_TK.numel()) * (sizeof(float) + (precision == Precision::kBf16 ? 2 : 1));  // f32 on one side
    bench.row(
        fmt::format("quantize_rows {} 2048x512", precision_name(precision)), 0, bytes, [&] { quantize_rows(x_TK, precision); },
        [&] { quantized_rows_ref(x_TK, precision); });
    bench.row(fmt::format("dequantize_rows {} 2048x512", precision_name(precision)), 0, bytes, [&] { dequantize_rows(rows); }, {});
  }
}

}  // namespace finback
