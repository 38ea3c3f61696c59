// Micro-batches of equal random rows for this folder's tests, whole and cut. Test code only; the models come from model/test_models.h.
#pragma once
#include <ATen/ATen.h>

#include <vector>

#include "model/test_models.h"
#include "train/training_step.h"

namespace finback::test {

inline MicroBatch micro_batch(PackedDocuments rows, int64_t seq_len) {
  MicroBatch micro;
  micro.valid_targets = rows.targets_T.ge(0).sum().item<int64_t>();
  micro.target_bytes = 3 * micro.valid_targets;
  for (int64_t start = 0; start <= rows.batch.tokens(); start += seq_len) rows.batch.balance_starts.push_back(start);
  micro.batch = std::move(rows.batch);
  micro.targets_T = rows.targets_T;
  return micro;
}

// `rows` rows of `seq_len` random ids, each one document.
inline MicroBatch random_micro_batch(int64_t rows, int64_t seq_len, uint64_t seed) {
  return micro_batch(documents(std::vector<int64_t>(size_t(rows), seq_len), small_config().vocab_size, seed), seq_len);
}

// Rows [first, first + rows) of such a micro-batch.
inline MicroBatch slice_rows(const MicroBatch& whole, int64_t seq_len, int64_t first, int64_t rows) {
  std::vector<int64_t> starts;
  for (int64_t row = 0; row <= rows; ++row) starts.push_back(row * seq_len);
  const int64_t begin = first * seq_len, end = (first + rows) * seq_len;
  const Batch batch = packed_batch(whole.batch.tokens_T.slice(0, begin, end), whole.batch.positions_T.slice(0, begin, end), starts);
  return micro_batch({batch, whole.targets_T.slice(0, begin, end)}, seq_len);
}

}  // namespace finback::test
