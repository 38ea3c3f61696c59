#include <ATen/ATen.h>

#include "gemm/gemm.h"
#include "machine/bench.h"

namespace finback {
namespace {

struct GemmShape {
  const char* what;
  int64_t m, n, k;
};
// A square one, then what a training step of the models multiplies.
constexpr GemmShape kGemmShapes[] = {{"square", 768, 768, 768},      {"projection", 2048, 256, 256}, {"expert gate_up", 512, 160, 256},
                                     {"expert down", 512, 256, 80},  {"low rank", 2048, 384, 128},   {"head", 256, 8192, 256},
                                     {"head dgrad", 256, 256, 8192}, {"one row", 1, 2048, 2048}};

void bench_one(Bench& bench, const GemmShape& s) {
  const at::Tensor a_MK = at::randn({s.m, s.k}), b_KN = at::randn({s.k, s.n}), c_MN = at::empty({s.m, s.n});
  at::Tensor packed = at::empty({packed_floats(s.k, s.n)}), c_ref = at::empty({s.m, s.n});
  pack_panels(s.k, s.n, {b_KN.const_data_ptr<float>(), s.n, 1}, packed.mutable_data_ptr<float>());
  const auto name = [&](const char* form) { return fmt::format("gemm {} {} {}x{}x{}", form, s.what, s.m, s.n, s.k); };
  const double flops = 2.0 * double(s.m) * double(s.n) * double(s.k);
  bench.row(
      name("packed"), flops, 0,
      [&] {
        gemm_packed(s.m, s.n, s.k, {a_MK.const_data_ptr<float>(), s.k, 1}, packed.const_data_ptr<float>(), c_MN.mutable_data_ptr<float>(),
                    s.n, false);
      },
      [&] { at::mm_out(c_ref, a_MK, b_KN); });
  // The weight gradient's form: C += A^T B over k rows, nothing packed before.
  const at::Tensor at_KM = at::randn({s.k, s.m});
  bench.row(name("wgrad"), flops, 0,
            [&] {
              gemm(s.m, s.n, s.k, {at_KM.const_data_ptr<float>(), 1, s.m}, {b_KN.const_data_ptr<float>(), s.n, 1},
                   c_MN.mutable_data_ptr<float>(), s.n, true);
            },
            {});
}

}  // namespace

void bench_gemm(Bench& bench) {
  for (const GemmShape& shape : kGemmShapes) bench_one(bench, shape);
}

}  // namespace finback
