#include <ATen/ATen.h>

#include "kernels/linear.h"
#include "kernels/quantized_linear.h"
#include "machine/bench.h"

namespace finback {
namespace {

struct QuantizedLinearShape {
  const char* what;
  int64_t experts, rows, n, k;
};
// tiny's projections and experts, small's experts, and a large square.
constexpr QuantizedLinearShape kQuantizedLinearShapes[] = {{"tiny q_b", 1, 2048, 384, 128},       {"tiny o", 1, 2048, 256, 256},
                                                           {"tiny gate_up", 16, 8192, 160, 256},  {"tiny down", 16, 8192, 256, 80},
                                                           {"small gate_up", 32, 8192, 320, 512}, {"small down", 32, 8192, 512, 160},
                                                           {"square", 1, 768, 768, 768}};

// Each of the three multiplications, rounding its operands included, beside the f32 ones of linear.h, and the first beside ATen's f32 mm.
void bench_shape(Bench& bench, const QuantizedLinearShape& s, Precision precision) {
  const uint64_t stamp = 1;
  const at::Tensor x = at::randn({s.rows, s.k}), dy = at::randn({s.rows, s.n}), weight = at::randn({s.experts, s.n, s.k}),
                   dw = at::zeros({s.experts, s.n, s.k});
  RowGroups groups;
  groups.offsets = (at::arange(s.experts + 1, at::kLong) * s.rows).div(s.experts, "floor");
  groups.tile_boundaries = groups.offsets;
  const PackedWeight w = prepared(weight, &stamp, precision), w_f32 = prepared(weight, &stamp);
  const QuantizedRows quantized = quantize_rows(x, precision);
  const double flops = 2.0 * double(s.rows * s.n * s.k);
  const auto name = [&](const char* op) {
    return fmt::format("{} {} {} {}x{}x{}", op, precision_name(precision), s.what, s.rows, s.n, s.k);
  };
  bench.row(
      name("linear"), flops, 0, [&] { quantized_linear(quantize_rows(x, precision), w, groups); },
      [&] { grouped_linear(x, w_f32, groups.offsets); });
  bench.row(
      name("linear beside mm"), flops, 0, [&] { quantized_linear(quantize_rows(x, precision), w, groups); },
      [&] { grouped_linear_ref(x, weight, groups.offsets); });
  bench.row(
      name("dgrad"), flops, 0, [&] { quantized_linear_dgrad(dy, w, groups); }, [&] { grouped_linear_dgrad(dy, w_f32, groups.offsets); });
  bench.row(
      name("wgrad"), flops, 0, [&] { quantized_linear_wgrad_(dw, dy, quantized, precision, groups); },
      [&] { grouped_linear_wgrad_(dw, dy, x, groups.offsets); });
}

}  // namespace

void bench_quantized_linear(Bench& bench) {
  for (const Precision precision : {Precision::kFp8, Precision::kBf16}) {
    for (const QuantizedLinearShape& shape : kQuantizedLinearShapes) bench_shape(bench, shape, precision);
  }
}

}  // namespace finback
