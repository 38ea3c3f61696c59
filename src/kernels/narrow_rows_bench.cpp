#include "kernels/narrow_rows.h"

#include <ATen/ATen.h>

#include "machine/bench.h"

namespace finback {

void bench_narrow_rows(Bench& bench) {
  const at::Tensor x_TK = at::randn({2048, 512});
  for (const Precision precision : {Precision::kBf16, Precision::kFp8}) {
    const NarrowRows rows = narrow_rows(x_TK, precision);
    const double bytes = double(x_TK.numel()) * (sizeof(float) + (precision == Precision::kBf16 ? 2 : 1));  // f32 on one side
    bench.row(
        fmt::format("narrow_rows {} 2048x512", precision_name(precision)), 0, bytes, [&] { narrow_rows(x_TK, precision); },
        [&] { narrow_rows_ref(x_TK, precision); });
    bench.row(fmt::format("widen_rows {} 2048x512", precision_name(precision)), 0, bytes, [&] { widen_rows(rows); }, {});
  }
}

}  // namespace finback
