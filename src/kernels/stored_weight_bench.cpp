#include "kernels/stored_weight.h"

#include <ATen/ATen.h>

#include <optional>

#include "kernels/linear.h"
#include "machine/bench.h"

namespace finback {
namespace {

// A matrix beyond the caches, so that one row runs at the speed of memory; x ref is the f32 product by mm.
void bench_rows(Bench& bench, int64_t rows, int64_t n, int64_t k, Precision storage) {
  const uint64_t stamp = 1;
  const at::Tensor x_TK = at::randn({rows, k}), w_NK = at::randn({n, k});
  const PackedWeight f32 = prepared(w_NK, &stamp);
  std::optional<StoredWeight> stored;
  if (storage != Precision::kF32) stored = store_weight(w_NK, storage);
  const WeightOperand w = stored ? WeightOperand(*stored) : WeightOperand(f32);
  const double bytes = stored ? double(stored->bytes()) : 4.0 * double(n * k);
  bench.row(
      fmt::format("linear {} weights {}x{}x{}", precision_name(storage), rows, n, k), rows > 8 ? 2.0 * double(rows * n * k) : 0, bytes,
      [&] { linear(x_TK, w); }, [&] { linear_ref(x_TK, w_NK); });
}

}  // namespace

void bench_stored_weight(Bench& bench) {
  for (const Precision storage : {Precision::kF32, Precision::kBf16, Precision::kFp8, Precision::kInt8}) {
    for (const int64_t rows : {1, 4, 8, 256}) bench_rows(bench, rows, 8192, 4096, storage);
  }
}

}  // namespace finback
