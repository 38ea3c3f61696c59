#include <cstring>

#include "gemm/bf16_tile_cpu.h"
#include "gemm/matrix_check.h"
#include "gemm/quantize_cpu.h"

namespace finback {
namespace {

// Standard normal numbers that are bf16 numbers.
Matrix bf16_matrix(int64_t rows, int64_t columns, uint64_t seed) {
  Matrix out = normal_matrix(rows, columns, seed);
  quantize_loops().round_bf16(rows * columns, out.data(), out.data());
  return out;
}

// Two numbers that follow each other become one word, the first in the low half.
std::vector<float> pairs_of(const Matrix& x) {
  std::vector<float> words(x.values.size() / 2);
  for (size_t i = 0; i < words.size(); ++i) {
    const uint32_t word = std::bit_cast<uint32_t>(x.values[2 * i]) >> 16 | std::bit_cast<uint32_t>(x.values[2 * i + 1]);
    std::memcpy(&words[i], &word, sizeof word);  // a word may be a signalling NaN as f32
  }
  return words;
}

// The tile's promise: each word's second product before its first, one rounding each.
TEST(Bf16Tile, EveryElementIsOneChain) {
  if (!bf16_tile_runs_here()) GTEST_SKIP() << "this processor has no AVX512_BF16";
  const int64_t rows = 7, columns = 19, depth = 45;
  const Matrix a = bf16_matrix(depth, kBf16TileRows * 2, 1), b = bf16_matrix(depth, kBf16TileColumns * 2, 2);
  Matrix got = normal_matrix(rows, columns, 3), chain = got;
  const std::vector<float> a_words = pairs_of(a), b_words = pairs_of(b);
  bf16_tile({rows, columns, depth, a_words.data(), 0, 1, kBf16TileRows, b_words.data(), kBf16TileColumns, got.data(), columns, true});
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      float& sum = chain.at(r, c);
      for (int64_t k = 0; k < depth; ++k)
        sum = std::fma(a.at(k, 2 * r), b.at(k, 2 * c), std::fma(a.at(k, 2 * r + 1), b.at(k, 2 * c + 1), sum));
    }
  }
  EXPECT_TRUE(same_bits(got, chain));
}

}  // namespace
}  // namespace finback
