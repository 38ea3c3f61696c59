#include "infer/step_batch.h"

#include <ATen/ATen.h>

namespace finback {

Batch step_batch(const std::vector<ScheduledRows>& step, at::Device device) {
  std::vector<int64_t> tokens, positions;
  Batch batch;
  for (const ScheduledRows& scheduled : step) {
    const ActiveRequest& active = *scheduled.active;
    Sequence sequence;
    sequence.first_row = int64_t(tokens.size());
    sequence.rows = scheduled.all_rows();
    sequence.pages = active.pages;
    sequence.cached_tokens = active.cached;
    if (active.cached > 0) sequence.keys.push_back({KeySegment::Where::kCache, 0, active.cached});
    sequence.keys.push_back({KeySegment::Where::kBatch, sequence.first_row, sequence.rows});
    tokens.insert(tokens.end(), active.tokens.begin() + active.cached, active.tokens.begin() + active.cached + scheduled.rows);
    tokens.insert(tokens.end(), scheduled.drafts.begin(), scheduled.drafts.end());
    for (int64_t row = 0; row < sequence.rows; ++row) positions.push_back(active.cached + row);
    batch.sequences.push_back(std::move(sequence));
  }
  batch.tokens_T = at::tensor(tokens, at::kLong).to(device);
  batch.positions_T = at::tensor(positions, at::kLong).to(device);
  return batch;
}

}  // namespace finback
