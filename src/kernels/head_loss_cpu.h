// The instruction-set half of head_loss: one row of logits. Knows no threads.
#pragma once
#include <cstdint>

namespace finback {

struct HeadLossRows {
  struct Row {
    float nll, lse;
    int64_t argmax;  // the lowest id among equals; of a NaN row, 0
  };
  // gradient: the logits become d(nll_scale nll + z_scale lse^2)/d(logits); otherwise they are left as they are.
  Row (*row)(int64_t w, float* logits, int64_t target, bool gradient, float nll_scale, float z_scale);
  // What row() takes its losses from.
  struct Softmax {
    int64_t argmax;
    float highest, log_sum;  // log_sum: of exp(logits - highest)
  };
  Softmax (*softmax)(int64_t w, const float* logits, float* exps);  // exps, where not null, receives exp(logits - highest)
};
const HeadLossRows& head_loss_rows();

}  // namespace finback
