#include "data/row_order.h"

#include <bit>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/rng.h"

namespace finback {
namespace {

constexpr int kRounds = 4;  // Luby-Rackoff: four rounds of a pseudo-random function make a strong pseudo-random permutation

// Of the first n rows that reach corpus k, those that it takes: an even comb with a phase.
int64_t taken(int64_t n, uint64_t share, uint64_t phase) { return int64_t((static_cast<unsigned __int128>(n) * share + phase) >> 32); }

}  // namespace

int64_t permuted(int64_t index, int64_t size, uint64_t seed, uint32_t corpus, int64_t epoch) {
  FB_ASSERT(index >= 0 && index < size && size <= (int64_t(1) << 62), "a row outside its corpus");
  const int half_bits = std::max(1, (int(std::bit_width(uint64_t(size - 1))) + 1) / 2);
  const uint64_t mask = (uint64_t(1) << half_bits) - 1;
  uint64_t place = uint64_t(index);
  do {
    uint64_t left = place >> half_bits, right = place & mask;
    for (uint32_t round = 0; round < kRounds; ++round) {
      // Counter words: the half (31 bits at most), the round, corpus and epoch.
      const auto words = philox(Stream::kDataOrder, seed, (uint64_t(epoch) << 2) | round, uint32_t(right), corpus);
      left = std::exchange(right, left ^ (words[0] & mask));
    }
    place = (left << half_bits) | right;
  } while (place >= uint64_t(size));  // at most 4 times the domain, so about 4 turns at worst on average
  return int64_t(place);
}

Mixture::Mixture(const std::vector<double>& weights, uint64_t seed) {
  double rest = 0;
  for (const double weight : weights) {
    FB_CHECK(std::isfinite(weight) && weight > 0, "data.corpora: expected weights above 0, got {}", weight);
    rest += weight;
  }
  for (size_t k = 0; k < weights.size(); ++k) {
    const bool last = k + 1 == weights.size();
    shares_.push_back(last ? uint64_t(1) << 32 : uint64_t(std::llround(weights[k] / rest * 0x1p32)));
    phases_.push_back(last ? 0 : philox(Stream::kMix, seed, k)[0]);
    FB_CHECK(shares_.back() > 0, "data.corpora: expected a weight of at least 2^-32 of the rest, got {}", weights[k]);
    rest -= weights[k];
  }
}

Mixture::Place Mixture::at(int64_t global_row) const {
  int64_t n = global_row;
  for (size_t k = 0; k < shares_.size(); ++k) {
    const int64_t before = taken(n, shares_[k], phases_[k]);
    if (taken(n + 1, shares_[k], phases_[k]) > before) return {k, before};
    n -= before;
  }
  FB_ASSERT(false, "the last corpus takes every row that reaches it");
}

}  // namespace finback
