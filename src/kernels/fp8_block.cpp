#include "kernels/fp8_block.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/pool.h"
#include "gemm/quantize_cpu.h"
#include "kernels/backend.h"

namespace finback {
namespace {

constexpr int64_t kTilesAChunk = 32;  // rows of 1x128 tiles

// The values of one scale: [rows, columns] of a row-major matrix.
struct ScaleBlock {
  int64_t row, rows, column, columns, stride;
};

ScaleBlock block_at(int64_t block_row, int64_t block_column, int64_t block_rows, at::IntArrayRef sizes) {
  const int64_t row = block_row * block_rows, column = block_column * kFp8Block;
  return {row, std::min(block_rows, sizes[0] - row), column, std::min(kFp8Block, sizes[1] - column), sizes[1]};
}

// body(index of the first value) for every row of the block.
template <class Body>
void for_each_row(const ScaleBlock& block, const Body& body) {
  for (int64_t row = block.row; row < block.row + block.rows; ++row) body(row * block.stride + block.column);
}

// The smallest 2^n that is not below s.
float round_up_to_power_of_two(float s) {
  int exponent = 0;
  const float mantissa = std::frexp(s, &exponent);  // in [0.5, 1)
  return std::ldexp(1.0f, mantissa == 0.5f ? exponent - 1 : exponent);
}

void quantize_block(const float* x, uint8_t* codes, float* scale, const ScaleBlock& block, bool power_of_two, float floor) {
  const QuantizeLoops& loops = quantize_loops();
  float amax = 0;
  for_each_row(block, [&](int64_t at) { amax = std::max(amax, loops.amax(block.columns, x + at)); });
  *scale = fp8_scale(amax, power_of_two, floor);
  for_each_row(block, [&](int64_t at) { loops.encode(block.columns, x + at, *scale, power_of_two, codes + at); });
}

Fp8Blocks quantize(const at::Tensor& given_NK, int64_t block_rows, bool power_of_two, float floor) {
  FB_ASSERT(given_NK.dim() == 2, "a matrix");
  if (backend_of(given_NK) == Backend::kRef) return fp8_quantize_ref(given_NK, block_rows, power_of_two, floor);
  const at::Tensor x_NK = given_NK.to(at::kFloat).contiguous();
  const int64_t rows = (x_NK.size(0) + block_rows - 1) / block_rows, columns = (x_NK.size(1) + kFp8Block - 1) / kFp8Block;
  Fp8Blocks out{at::empty(x_NK.sizes(), at::kFloat8_e4m3fn), at::empty({rows, columns}, at::kFloat)};
  const float* x = x_NK.const_data_ptr<float>();
  auto* codes = static_cast<uint8_t*>(out.values.mutable_data_ptr());
  float* scales = out.scales.mutable_data_ptr<float>();
  parallel_ranges(rows, block_rows == 1 ? kTilesAChunk : 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * columns; i < end * columns; ++i) {
      quantize_block(x, codes, scales + i, block_at(i / columns, i % columns, block_rows, x_NK.sizes()), power_of_two, floor);
    }
  });
  return out;
}

}  // namespace

float fp8_scale(float amax, bool power_of_two, float floor) {
  const float s = std::max(amax, floor) / 448.0f;
  return power_of_two && std::isfinite(s) ? round_up_to_power_of_two(s) : s;
}

Fp8Blocks fp8_quantize_weight(const at::Tensor& w_NK, bool power_of_two_scales) {
  return quantize(w_NK, kFp8Block, power_of_two_scales, kFp8Floor);
}
Fp8Blocks fp8_quantize_activation(const at::Tensor& x_TK, bool power_of_two_scales, float floor) {
  return quantize(x_TK, 1, power_of_two_scales, floor);
}

at::Tensor fp8_dequantize_weight(const at::Tensor& values_NK, const at::Tensor& scales) {
  const int64_t rows = (values_NK.size(0) + kFp8Block - 1) / kFp8Block, columns = (values_NK.size(1) + kFp8Block - 1) / kFp8Block;
  FB_ASSERT(scales.dim() == 2 && scales.size(0) == rows && scales.size(1) == columns, "one scale a block");
  if (backend_of(values_NK) == Backend::kRef) return fp8_dequantize_weight_ref(values_NK, scales);
  const at::Tensor codes_NK = values_NK.contiguous(), s = scales.to(at::kFloat).contiguous();
  const at::Tensor out_NK = at::empty(values_NK.sizes(), at::kFloat);
  const auto* code = static_cast<const uint8_t*>(codes_NK.const_data_ptr());
  const float* scale = s.const_data_ptr<float>();
  float* out = out_NK.mutable_data_ptr<float>();
  parallel_for(rows, [&](int64_t row) {
    for (int64_t column = 0; column < columns; ++column) {
      const ScaleBlock block = block_at(row, column, kFp8Block, values_NK.sizes());
      const float factor = scale[row * columns + column];
      for_each_row(block, [&](int64_t at) { quantize_loops().decode(block.columns, code + at, factor, out + at); });
    }
  });
  return out_NK;
}

}  // namespace finback
