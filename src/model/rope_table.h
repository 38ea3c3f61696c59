// Cosines and sines of every position, plain RoPE or YaRN, in f32. Knows no tensor that is rotated: that is kernels/rope.
#pragma once
#include <ATen/core/Tensor.h>

#include <vector>

#include "model/model_config_fields.h"

namespace finback {

// Angle a position of each channel pair, R/2 values.  V2 section 3.1.4 when the config has rope_scaling.
std::vector<float> rope_inv_freq(const ModelConfig& config);

// m(k) = 0.1 k ln(factor) + 1 for factor > 1, else 1: YaRN's temperature.
double yarn_mscale(double factor, double k);

// [max_position_embeddings, R]: R/2 cosines, then R/2 sines, multiplied by m(mscale) / m(mscale_all_dim) under YaRN (1 for V3).
at::Tensor rope_table(const ModelConfig& config, at::Device device);

}  // namespace finback
