#include "model/batch.h"

#include "base/error.h"

namespace finback {

Batch packed_batch(at::Tensor tokens_T, at::Tensor positions_T, const std::vector<int64_t>& starts_B1) {
  FB_ASSERT(!starts_B1.empty() && starts_B1.front() == 0 && starts_B1.back() == tokens_T.size(0),
            "starts: first row of each document, then T");
  FB_ASSERT(positions_T.size(0) == tokens_T.size(0), "a position for each token");
  Batch batch;
  batch.tokens_T = std::move(tokens_T);
  batch.positions_T = std::move(positions_T);
  for (size_t b = 0; b + 1 < starts_B1.size(); ++b) {
    Sequence sequence;
    sequence.first_row = starts_B1[b];
    sequence.rows = starts_B1[b + 1] - starts_B1[b];
    FB_ASSERT(sequence.rows >= 0, "starts do not decrease");
    sequence.keys.push_back({KeySegment::Where::kBatch, sequence.first_row, sequence.rows});
    batch.sequences.push_back(std::move(sequence));
  }
  return batch;
}

}  // namespace finback
