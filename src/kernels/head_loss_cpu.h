// The instruction-set half of head_loss: one row of logits. Knows no threads.
#pragma once
#include <cstdint>

namespace finback {

struct HeadLossRows {
  struct Row {
    float nll, lse;
    int64_t argmax;  // the lowest id among equals; of a NaN row, 0
  };
  // logits [w] may be overwritten. gradient: they become d(nll_scale nll + z_scale lse^2)/d(logits).
  Row (*row)(int64_t w, float* logits, int64_t target, bool gradient, float nll_scale, float z_scale);
};
const HeadLossRows& head_loss_rows();

}  // namespace finback
