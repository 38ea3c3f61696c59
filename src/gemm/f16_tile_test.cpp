#include <tuple>

#include "gemm/f16_tile_cpu.h"
#include "gemm/matrix_check.h"
#include "gemm/quantize_cpu.h"

namespace finback {
namespace {

float row_amax(const Matrix& x, int64_t row) { return quantize_loops().amax(x.columns, &x.values[size_t(row * x.columns)]); }

// Standard normal numbers times a size for each row, rounded to E4M3 with a power-of-two scale a row that cuts none of them at 448.
Matrix e4m3_matrix(int64_t rows, int64_t columns, uint64_t seed, double spread) {
  Matrix out = normal_matrix(rows, columns, seed);
  const Matrix sizes = normal_matrix(rows, 1, seed + 3);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) out.at(r, c) *= float(std::exp2(spread * double(sizes.at(r, 0))));
    float* row = &out.at(r, 0);
    quantize_loops().round_e4m3(columns, row, f16_scale(row_amax(out, r)) / 128, row);
  }
  return out;
}

// One number as f16, by its definition: round to nearest even at 11 bits, subnormals below 2^-14. |x| stays far below the largest f16 number.
double to_half(double x) {
  if (x == 0 || !std::isfinite(x)) return x;
  const double unit = std::ldexp(1.0, std::max(std::ilogb(x), -14) - 10);
  return std::nearbyint(x / unit) * unit;
}

// A double holds a product of f16 numbers plus an f16 number exactly, so one rounding of it is what the FMA does.
TEST(F16Tile, EveryElementIsTwoChainsOfHalvesAndOnePromotion) {
  if (!f16_tile_runs_here()) GTEST_SKIP() << "this processor has no AVX512_FP16";
  for (const auto& [rows, columns, length] : {std::tuple{12, 32, 128}, {31, 19, 45}, {1, 17, 1}, {5, 16, 127}}) {
    const Matrix a = e4m3_matrix(rows, length, 1, 9), b = e4m3_matrix(kF16TileColumns, length, 2, 0);
    const int64_t depth = 1 + (length + 1) / 2;
    std::vector<float> left(size_t(rows * depth)), right(size_t(depth * kF16TileColumns)), words(right.size());
    for (int64_t r = 0; r < rows; ++r) pair_f16(length, &a.values[size_t(r * length)], left.data() + r * depth);
    for (int64_t c = 0; c < kF16TileColumns; ++c) {
      pair_f16(length, &b.values[size_t(c * length)], words.data());
      for (int64_t k = 0; k < depth; ++k) right[size_t(k * kF16TileColumns + c)] = words[size_t(k)];
    }
    Matrix got = normal_matrix(rows, columns, 3), chain = got;
    f16_tile({rows, columns, depth, left.data(), kF16TileRows * depth, depth, 1, right.data(), kF16TileColumns, got.data(), columns, true});
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < columns; ++c) {
        const float sa = f16_scale(row_amax(a, r)), sb = f16_scale(row_amax(b, c));
        double sums[2] = {0, 0};
        for (int64_t k = 0; k < length; ++k) {
          sums[k % 2] = to_half(double(a.at(r, k) / sa) * double(b.at(c, k) / sb) + sums[k % 2]);
        }
        chain.at(r, c) = std::fma(float(sums[0] + sums[1]) * sa, sb, chain.at(r, c));
      }
    }
    EXPECT_TRUE(same_bits(got, chain)) << rows << " x " << columns << " x " << length;
  }
}

}  // namespace
}  // namespace finback
