// What the tests of gemm share: f32 matrices in the layouts that operands come in, and comparisons of bits and against sums in f64. Tests only; knows
// no tensors. Memory that nobody wrote is NaN, so an element that is not computed is seen.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "base/rng.h"
#include "gemm/gemm.h"

namespace finback {

struct Matrix {
  int64_t rows, columns, row_stride, column_stride, first;  // element (r, c) at values[first + r * row_stride + c * column_stride]
  std::vector<float> values;

  Matrix(int64_t r, int64_t c)
      : rows(r), columns(c), row_stride(c), column_stride(1), first(0), values(size_t(r * c), std::numeric_limits<float>::quiet_NaN()) {}
  float& at(int64_t r, int64_t c) { return values[size_t(first + r * row_stride + c * column_stride)]; }
  float at(int64_t r, int64_t c) const { return values[size_t(first + r * row_stride + c * column_stride)]; }
  float* data() { return values.data() + first; }
  Operand operand() const { return {values.data() + first, row_stride, column_stride}; }
  // Rows [begin, end) of columns [left, right), row-major memory of their own.
  Matrix block(int64_t begin, int64_t end, int64_t left, int64_t right) const {
    Matrix out(end - begin, right - left);
    for (int64_t r = begin; r < end; ++r) {
      for (int64_t c = left; c < right; ++c) out.at(r - begin, c - left) = at(r, c);
    }
    return out;
  }
  Matrix row_block(int64_t begin, int64_t end) const { return block(begin, end, 0, columns); }
};

// Standard normal numbers, the same for the same seed.
inline Matrix normal_matrix(int64_t rows, int64_t columns, uint64_t seed) {
  Matrix out(rows, columns);
  fill_normal(out.values.data(), rows * columns, 1, Stream::kTest, seed, 0);
  return out;
}

// The same numbers, stored column after column.
inline Matrix by_columns(const Matrix& x) {
  Matrix out(x.rows, x.columns);
  out.row_stride = 1, out.column_stride = x.rows;
  for (int64_t r = 0; r < x.rows; ++r) {
    for (int64_t c = 0; c < x.columns; ++c) out.at(r, c) = x.at(r, c);
  }
  return out;
}

// The same numbers as columns of a wider matrix whose other columns are NaN.
inline Matrix in_wider(const Matrix& x) {
  Matrix out(x.rows, x.columns + 7);
  out.columns = x.columns, out.first = 3;
  for (int64_t r = 0; r < x.rows; ++r) {
    for (int64_t c = 0; c < x.columns; ++c) out.at(r, c) = x.at(r, c);
  }
  return out;
}

inline Matrix rows_reversed(const Matrix& x) {
  Matrix out(x.rows, x.columns);
  for (int64_t r = 0; r < x.rows; ++r) {
    for (int64_t c = 0; c < x.columns; ++c) out.at(r, c) = x.at(x.rows - 1 - r, c);
  }
  return out;
}

inline bool same_bits(const Matrix& a, const Matrix& b) {
  if (a.rows != b.rows || a.columns != b.columns) return false;
  for (int64_t r = 0; r < a.rows; ++r) {
    for (int64_t c = 0; c < a.columns; ++c) {
      if (std::bit_cast<uint32_t>(a.at(r, c)) != std::bit_cast<uint32_t>(b.at(r, c))) return false;
    }
  }
  return true;
}

// before + a b in f64, row-major.
inline std::vector<double> product_in_double(const Matrix& a, const Matrix& b, const Matrix* before) {
  std::vector<double> out;
  for (int64_t r = 0; r < a.rows; ++r) {
    for (int64_t c = 0; c < b.columns; ++c) {
      double sum = before != nullptr ? double(before->at(r, c)) : 0;
      for (int64_t k = 0; k < a.columns; ++k) sum += double(a.at(r, k)) * double(b.at(k, c));
      out.push_back(sum);
    }
  }
  return out;
}

// |actual - expected| <= 6e-8 (8 + 4 sqrt(terms)) scale, where an element is a sum of `terms` products and scale the largest element or 1.
inline void expect_close(const Matrix& actual, const std::vector<double>& expected, int64_t terms) {
  ASSERT_EQ(size_t(actual.rows * actual.columns), expected.size());
  double scale = 1, worst = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double difference = std::abs(double(actual.at(int64_t(i) / actual.columns, int64_t(i) % actual.columns)) - expected[i]);
    scale = std::max(scale, std::abs(expected[i]));
    worst = std::isnan(difference) ? difference : std::max(difference, worst);  // NaN stays
  }
  EXPECT_LE(worst, 6e-8 * (8 + 4 * std::sqrt(double(terms))) * scale);  // false for NaN
}

}  // namespace finback
