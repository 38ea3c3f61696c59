// What the tests of ops share: an op is run under every kernel variant of this machine, on one and on two threads, and judged against its
// reference computed in double precision. Tests only. Fresh memory is NaN there (cmake/poisoned_main.cpp), so an output that is not
// written is seen.
#pragma once
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/pool.h"
#include "gemm/each_variant.h"

namespace finback {

using Tensors = std::vector<at::Tensor>;
using TensorOp = std::function<Tensors(const Tensors&)>;

// Standard normal numbers, the same for the same seed.
inline at::Tensor normal(at::IntArrayRef sizes, uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  return at::randn(sizes, generator);
}

inline at::Tensor random_ids(at::IntArrayRef sizes, int64_t high, uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  return high == 0 ? at::empty(sizes, at::kLong) : at::randint(high, sizes, generator, at::kLong);
}

// The same numbers as columns of a wider matrix whose other columns are NaN.
inline at::Tensor in_wider(const at::Tensor& x) {
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes.back() += 7;
  return at::full(sizes, std::nan(""), x.options()).slice(-1, 3, 3 + x.size(-1)).copy_(x);
}

inline bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type() &&
         at::equal(a.reshape({-1}).view(at::kByte), b.reshape({-1}).view(at::kByte));
}

constexpr double kF32Epsilon = 6e-8;
// |actual - expected| <= epsilon (8 + 4 sqrt(terms)) scale, where an element is a sum of `terms` products and scale the largest element or 1.
inline void expect_close(const at::Tensor& actual, const at::Tensor& expected, int64_t terms, const std::string& what = "",
                         double epsilon = kF32Epsilon) {
  ASSERT_EQ(actual.sizes(), expected.sizes()) << what;
  if (actual.numel() == 0) return;
  if (!actual.is_floating_point()) {
    EXPECT_TRUE(at::equal(actual, expected)) << what;
    return;
  }
  const at::Tensor wide = expected.to(at::kDouble);
  const double scale = std::max(1.0, wide.abs().max().item<double>());
  const double worst = (actual.to(at::kDouble) - wide).abs().max().item<double>();
  EXPECT_LE(worst, epsilon * (8 + 4 * std::sqrt(double(terms))) * scale) << what;  // false for NaN
}

inline Tensors in_double(const Tensors& tensors) {
  Tensors wide;
  for (const at::Tensor& t : tensors) wide.push_back(t.defined() && t.is_floating_point() ? t.to(at::kDouble) : t);
  return wide;
}

// op(inputs) under every variant and both thread counts against reference(inputs in double). Inputs that op changes: it clones them first.
inline void check_op(const Tensors& inputs, const TensorOp& op, const TensorOp& reference, int64_t terms) {
  const Tensors expected = reference(in_double(inputs));
  for_each_variant([&] {
    set_threads(1);
    const Tensors alone = op(inputs);
    set_threads(2);
    const Tensors outputs = op(inputs);
    ASSERT_EQ(outputs.size(), expected.size());
    for (size_t i = 0; i < outputs.size(); ++i) {
      expect_close(outputs[i], expected[i], terms, fmt::format("output {}", i));
      EXPECT_TRUE(same_bits(alone[i], outputs[i])) << "output " << i << " differs between one thread and two";
    }
  });
}

// Every output's row t depends on row t of the inputs alone: rows in another order give the same rows, bit for bit.
inline void check_rows_alone(const Tensors& inputs, const TensorOp& op) {
  const int64_t rows = inputs[0].size(0);
  const at::Tensor order = at::arange(rows - 1, -1, -1, at::kLong);
  Tensors reversed;
  for (const at::Tensor& t : inputs) reversed.push_back(t.index_select(0, order));
  for_each_variant([&] {
    const Tensors straight = op(inputs), back = op(reversed);
    for (size_t i = 0; i < straight.size(); ++i) EXPECT_TRUE(same_bits(straight[i].index_select(0, order), back[i])) << "output " << i;
    Tensors last;
    for (const at::Tensor& t : inputs) last.push_back(t.slice(0, rows - 1));
    const Tensors one = op(last);
    for (size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(same_bits(straight[i].slice(0, rows - 1), one[i])) << "one row alone, output " << i;
  });
}

// add(sum, first, end) adds the gradient of rows [first, end) into sum: two ranges give the bits of one.
inline void check_micro_batches(const at::Tensor& sum, int64_t rows, const std::function<void(const at::Tensor&, int64_t, int64_t)>& add) {
  for_each_variant([&] {
    const at::Tensor whole = sum.clone(), halves = sum.clone();
    add(whole, 0, rows);
    add(halves, 0, rows / 3);
    add(halves, rows / 3, rows);
    EXPECT_TRUE(same_bits(whole, halves)) << "two micro-batches differ from one big batch";
    EXPECT_FALSE(same_bits(whole, sum)) << "nothing was added";
  });
}

}  // namespace finback
