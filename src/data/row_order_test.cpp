#include "data/row_order.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "base/error.h"

namespace finback {
namespace {

TEST(Permuted, IsABijectionAtEverySize) {
  for (const int64_t size : {1, 2, 3, 4, 5, 16, 17, 63, 64, 65, 257, 1000}) {
    std::set<int64_t> seen;
    for (int64_t i = 0; i < size; ++i) {
      const int64_t place = permuted(i, size, 7, 0, 3);
      EXPECT_TRUE(place >= 0 && place < size);
      seen.insert(place);
    }
    EXPECT_EQ(int64_t(seen.size()), size);
  }
}

TEST(Permuted, DependsOnSeedEpochAndCorpus) {
  const auto order = [](uint64_t seed, uint32_t corpus, int64_t epoch) {
    std::vector<int64_t> places;
    for (int64_t i = 0; i < 100; ++i) places.push_back(permuted(i, 100, seed, corpus, epoch));
    return places;
  };
  const auto first = order(1, 0, 0);
  EXPECT_EQ(first, order(1, 0, 0));
  EXPECT_NE(first, order(2, 0, 0));
  EXPECT_NE(first, order(1, 1, 0));
  EXPECT_NE(first, order(1, 0, 1));
}

// A shuffle leaves one place where it was on average and has no long runs; an identity or a rotation would fail.
TEST(Permuted, LooksShuffled) {
  const int64_t size = 10000;
  int64_t fixed = 0, neighbours = 0;
  for (int64_t i = 0; i < size; ++i) {
    fixed += permuted(i, size, 11, 0, 0) == i;
    neighbours += i > 0 && permuted(i, size, 11, 0, 0) == permuted(i - 1, size, 11, 0, 0) + 1;
  }
  EXPECT_LT(fixed, 10);
  EXPECT_LT(neighbours, 10);
}

TEST(Mixture, EveryPrefixHoldsEachCorpusByWeight) {
  const std::vector<double> weights = {5, 1, 0.25, 3};
  const Mixture mixture(weights, 3);
  std::vector<int64_t> counts(weights.size(), 0);
  for (int64_t row = 0; row < 20000; ++row) {
    const Mixture::Place place = mixture.at(row);
    EXPECT_EQ(place.index, counts[place.corpus]);  // the closed form counts what stands before
    ++counts[place.corpus];
    for (size_t k = 0; k < weights.size(); ++k)
      ASSERT_LT(std::abs(double(counts[k]) - double(row + 1) * weights[k] / 9.25), double(weights.size()));
  }
}

TEST(Mixture, OneCorpusTakesEveryRow) {
  const Mixture mixture({2.5}, 1);
  for (const int64_t row : {int64_t(0), int64_t(1), int64_t(1) << 40}) {
    EXPECT_EQ(mixture.at(row).corpus, 0u);
    EXPECT_EQ(mixture.at(row).index, row);
  }
}

TEST(Mixture, RefusesWeightsThatAreNoShares) {
  for (const double weight : {0.0, -1.0, double(NAN), double(INFINITY), 1e-12}) EXPECT_THROW(Mixture({weight, 1.0}, 1), Error) << weight;
}

}  // namespace
}  // namespace finback
