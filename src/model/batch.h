// The one batch of every mode: packed tokens and, for each sequence, the list of key segments that it attends to. Pretraining (itself),
// prompt-shared RL (shared prefix, itself), chunked prefill and decode (own pages, itself) differ only in that list. Data, no behaviour.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace finback {

// Keys in sequence order: kBatch = rows [begin, begin + count) of this batch's own tokens; kCache = tokens [begin, begin + count) of the
// sequence, found through its pages.
struct KeySegment {
  enum class Where { kBatch, kCache };
  Where where = Where::kBatch;
  int64_t begin = 0, count = 0;
};

struct Sequence {
  int64_t first_row = 0, rows = 0;  // its query rows in the batch
  std::vector<KeySegment> keys;     // oldest first; the last query row sees them all, the row before one less (causal)
  std::vector<int32_t> pages;       // block table: token p of the sequence lies in page pages[p / 64], slot p % 64; empty without cache
  int64_t cached_tokens = 0;        // tokens already in the cache; this batch's rows are written behind them
};

struct Batch {
  at::Tensor tokens_T;                  // i64
  at::Tensor positions_T;               // i64, position in the sequence
  std::vector<Sequence> sequences;      // cover the rows 0..T in order, without gaps
  std::vector<int64_t> balance_starts;  // rows of the sequences of the balance loss (packed training rows), R + 1 entries; empty: none
  int64_t tokens() const { return tokens_T.size(0); }
};

// Documents packed one after the other, each attending to itself: starts = first row of each, then T.
Batch packed_batch(at::Tensor tokens_T, at::Tensor positions_T, const std::vector<int64_t>& starts_B1);

}  // namespace finback
