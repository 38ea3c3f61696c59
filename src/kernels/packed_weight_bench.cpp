#include "kernels/packed_weight.h"

#include <ATen/ATen.h>

#include "machine/bench.h"

namespace finback {
namespace {

// Both directions of every expert's matrix, as after an optimizer step; bf16 and fp8 beside f32.
void bench_shape(Bench& bench, int64_t experts, int64_t n, int64_t k, Precision precision) {
  uint64_t stamp = 1;
  const at::Tensor w_ENK = at::randn({experts, n, k});
  PackedWeight w(w_ENK, &stamp, precision), w_f32(w_ENK, &stamp);
  const auto repack = [&](PackedWeight& weight) {
    ++stamp;
    weight.prepare();
  };
  const std::function<void()> ref = [&] { repack(w_f32); };
  bench.row(
      fmt::format("repacking {} {} x {}x{}", precision_name(precision), experts, n, k), 0, 16.0 * double(w_ENK.numel()), [&] { repack(w); },
      precision == Precision::kF32 ? nullptr : ref);
}

}  // namespace

void bench_packed_weight(Bench& bench) {
  for (const Precision precision : {Precision::kF32, Precision::kFp8, Precision::kBf16}) {
    bench_shape(bench, 1, 768, 768, precision);   // a square
    bench_shape(bench, 16, 160, 256, precision);  // experts of tiny
    bench_shape(bench, 16, 256, 80, precision);
    bench_shape(bench, 32, 320, 512, precision);  // of small
  }
}

}  // namespace finback
