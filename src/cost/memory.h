// Bytes of a model in use, by category, as pure functions of the config. What the allocator adds is not in it.
#pragma once
#include <cstdint>

#include "model/model_config.h"

namespace finback {

struct TrainMemory {
  double weights = 0, gradients = 0, optimizer = 0;  // f32 each; gradients with the buffers of shared tensors; two Adam moments
  double packed_weights = 0;                         // the kernels' packed copies, forward and backward
  double activations = 0;                            // saved for backward, one micro-batch
  double total() const { return weights + gradients + optimizer + packed_weights + activations; }
};
TrainMemory train_memory(const ModelConfig& config, int64_t micro_batch_tokens);

// Weights at `bytes_per_weight`, the f32 panels of those that a token multiplies (MTP modules do not run), and a latent cache of
// `cached_tokens` tokens in f32.
double serve_memory(const ModelConfig& config, double bytes_per_weight, int64_t cached_tokens);

}  // namespace finback
