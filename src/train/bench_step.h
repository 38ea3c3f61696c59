// Times whole training steps (forward, loss, backward, clipping, AdamW) of a config on random ids. Figures for `finback bench step`.
#pragma once
#include <cstdint>

#include "base/json.h"
#include "model/transformer.h"

namespace finback {

struct StepBench {
  int64_t batch_tokens = 2048, seq_len = 256;  // rows = batch_tokens / seq_len
  int64_t steps = 8;                           // timed steps, after two that are not
  bool with_mtp = true;
  MlaAlgebra algebra = MlaAlgebra::kExpanded;
  Precision precision = Precision::kF32;
};
// "backward_bytes": tensor memory that the forward pass leaves for the backward pass.
// {"tokens_per_s_median", "step_ms_median", "peak_memory_bytes", "fma_peak_gflops", "share_of_peak", ...}; share_of_peak counts causal
// attention and, when it runs, MTP.
Json bench_training_step(ModelConfig config, const StepBench& options);

}  // namespace finback
