// The SIMD code, compiled per instruction set, of head_loss: one row of logits. Knows no threads.
#pragma once
#include <cstdint>

namespace finback {

struct HeadLossRows {
  struct Row {
    float logprob, lse;
    float sum;       // of exp(logit - highest)
    int64_t argmax;  // the lowest id among equals; of a NaN row, 0
  };
  // logits [w] become exp(logit - highest).
  Row (*row)(int64_t w, float* logits, int64_t target);
  // From what row() left: d(-scale logprob + z_scale lse^2) / d(logits).
  void (*gradient)(int64_t w, float* exps, int64_t target, const Row& row, float scale, float z_scale);
  // What row() takes its log-prob from; exps, where not null, receives exp(logits - highest).
  struct Softmax {
    int64_t argmax;
    float highest, log_sum;  // log_sum: of exp(logits - highest)
  };
  Softmax (*softmax)(int64_t w, const float* logits, float* exps);
};
const HeadLossRows& head_loss_rows();

}  // namespace finback
