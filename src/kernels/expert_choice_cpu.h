// The choice of experts for one token on the CPU: plain scalar code, so the same for every instruction set. Not thread-safe: it keeps
// scratch.
#pragma once
#include <cstdint>
#include <vector>

#include "kernels/router_options.h"

namespace finback {

class ExpertChoice {
 public:
  ExpertChoice(int64_t experts, const RouterOptions& options);
  // ids[0..K): the K experts with the highest score + bias among the best groups, best first, lower index first among equals.
  // bias may be null. Always K different ids, whatever the numbers are (NaN included).
  void choose(const float* scores, const float* bias, int64_t* ids);
  // V3 eq. 13: weights[0..K) from the chosen scores, without the bias.
  void weigh(const float* scores, const int64_t* ids, float* weights) const;

 private:
  void mask_groups();

  int64_t experts_;
  RouterOptions options_;
  std::vector<float> choice_, group_score_;
  std::vector<uint8_t> taken_;
};

}  // namespace finback
