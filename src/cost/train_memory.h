// Bytes of a process that trains a model, by category, from its config; packed weights as the selected kernel variant lays them out (panel_bytes.h). What
// the allocator adds is not in it.
#pragma once
#include <cstdint>

#include "cost/program_memory.h"
#include "gemm/precision.h"
#include "model/model_config.h"

namespace finback {

struct TrainMemory {
  double weights = 0, gradients = 0, optimizer = 0;  // f32 each; gradients with the buffers of shared tensors; two Adam moments
  double packed_weights = 0;                         // the kernels' packed copies, forward and backward
  double activations = 0;                            // saved for backward, one micro-batch
  double working = 0;                                // gradients, widened and recomputed values of the sub-layer at work
  double total() const { return weights + gradients + optimizer + packed_weights + activations + working + kProgramBytes; }
};
// The expanded algebra's. precision: of the linears (train.precision), f32, bf16 or fp8.
TrainMemory train_memory(const ModelConfig& config, int64_t micro_batch_tokens, Precision precision = Precision::kF32);

}  // namespace finback
