// How a folder names and shapes the scales of its FP8 weights: DeepSeek's "<weight>_scale_inv", one f32 a 128x128 block.
#pragma once
#include <string>
#include <vector>

#include "kernels/fp8_block.h"

namespace finback {

inline const std::string kScaleSuffix = "_scale_inv";

// Shape of the scales of a matrix with shape `weight`; blocks at its edges are cut short.
inline std::vector<int64_t> fp8_scale_shape(const std::vector<int64_t>& weight) {
  const auto blocks = [](int64_t n) { return (n + kFp8Block - 1) / kFp8Block; };
  return {blocks(weight[0]), blocks(weight[1])};
}

}  // namespace finback
