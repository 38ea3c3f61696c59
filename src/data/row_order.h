// Which row of which corpus stands at a place of the endless global order: pure functions, no state, nothing to save or restore.
// Shared by every process: the order does not know world size or micro-batch.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace finback {

// Place `index` of a pseudo-random permutation of [0, size): a four-round Feistel network with Philox rounds, walked until it lands
// inside. A pure function of (seed, corpus, epoch). REQUIRES: 0 <= index < size <= 2^62.
int64_t permuted(int64_t index, int64_t size, uint64_t seed, uint32_t corpus, int64_t epoch);

// Interleaves corpora by weight. The share of each in any prefix of the order differs from its weight by less than a row for each corpus,
// and the count in a prefix has a closed form, so a cursor of one integer is enough.
class Mixture {
 public:
  // REQUIRES: weights positive and finite. Phases come from the seed (Stream::kMix).
  Mixture(const std::vector<double>& weights, uint64_t seed);
  struct Place {
    size_t corpus = 0;
    int64_t index = 0;  // how many rows of that corpus stand before this place
  };
  Place at(int64_t global_row) const;

 private:
  // Corpus k takes a fixed share of the rows that corpora 0..k-1 left, in units of 2^-32; the last takes the rest.
  std::vector<uint64_t> shares_, phases_;
};

}  // namespace finback
