#include "kernels/quantized_rows.h"

#include "gemm/quantize_cpu.h"
#include "kernels/fp8_block.h"
#include "kernels/op_check.h"

namespace finback {
namespace {

bool same_values(const at::Tensor& a, const at::Tensor& b) { return same_bits(at::nan_to_num(a, 1e30), at::nan_to_num(b, 1e30)); }

// Zeros of both signs, subnormals of E4M3, ties, the largest numbers, a NaN.
at::Tensor awkward(int64_t rows, int64_t columns, uint64_t seed) {
  const at::Tensor x = normal({rows, columns}, seed) * at::exp2(normal({rows, columns}, seed + 1) * 6);
  const float special[] = {0.0f, -0.0f, 1e-9f, -3e-5f, 448.0f, -447.9f, 1.0625f, 3e38f, std::nanf("")};
  for (int64_t i = 0; i < std::min<int64_t>(columns, 9); ++i) x[i % rows][i].fill_(special[i]);
  return x;
}

TEST(QuantizedRows, AreTheReferenceBitForBit) {
  for (const auto& [rows, columns] : {std::pair<int64_t, int64_t>{1, 1}, {3, 7}, {5, 128}, {4, 129}, {7, 300}}) {
    const at::Tensor x = awkward(rows, columns, uint64_t(columns));
    for (const Precision precision : {Precision::kF32, Precision::kBf16, Precision::kFp8}) {
      const at::Tensor expected = quantized_rows_ref(x, precision);
      for_each_variant([&] {
        EXPECT_TRUE(same_values(dequantize_rows(quantize_rows(x, precision)), expected)) << precision_name(precision) << " " << columns;
        EXPECT_TRUE(same_values(dequantize_rows(quantize_rows(in_wider(x), precision)), expected)) << "strided rows";
      });
    }
  }
}

TEST(QuantizedRows, RoundingWithoutCodesIsThatOfTheCodes) {
  const at::Tensor x = awkward(40, 137, 3), y = at::empty({40, 137}), columns = at::empty({40, 137}), bf16 = at::empty({40, 137});
  const at::Tensor tiles = quantized_rows_ref(x.t().contiguous(), Precision::kFp8).t().contiguous();
  for_each_variant([&] {
    const QuantizedRows rows = quantize_rows(x, Precision::kFp8);
    for (int64_t t = 0; t < 40; ++t) {
      const float* from = x[t].const_data_ptr<float>();
      float* to = y[t].mutable_data_ptr<float>();
      quantize_loops().round_e4m3(128, from, rows.scales[t][0].item<float>(), to);
      quantize_loops().round_e4m3(9, from + 128, rows.scales[t][1].item<float>(), to + 128);
      quantize_loops().round_bf16(137, from, bf16[t].mutable_data_ptr<float>());
    }
    EXPECT_TRUE(same_values(y, dequantize_rows(rows)));
    EXPECT_TRUE(same_values(bf16, x.to(at::kBFloat16).to(at::kFloat)));
    quantize_loops().round_columns(40, 137, x.const_data_ptr<float>(), 137, columns.mutable_data_ptr<float>(), 137);
    EXPECT_TRUE(same_values(columns, tiles));
  });
}

TEST(QuantizedRows, Int8IsNoTrainingPrecision) { EXPECT_THROW(quantize_rows(normal({2, 2}, 1), Precision::kInt8), Error); }

}  // namespace
}  // namespace finback
