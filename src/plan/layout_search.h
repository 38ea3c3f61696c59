// The fastest layouts that fit: for every power-of-two layout of the accelerators step time and memory are counted. Knows no prices.
#pragma once
#include <string>
#include <vector>

#include "plan/stage_memory.h"
#include "plan/step_time.h"

namespace finback {

struct TimedLayout {
  Layout layout;
  StepTime time;
  StageMemory memory;
  double recomputed = 0;  // share of the kept activations that is recomputed
  double tokens_per_s = 0;
};
struct LayoutSearch {
  std::vector<TimedLayout> best;  // fastest first, at most `count`
  int64_t tried = 0, too_big = 0, indivisible = 0;
  TimedLayout nearest;  // of those too big, the smallest; meaningful when too_big > 0
};
LayoutSearch search_layouts(TrainSetup setup, const CostParameters& parameters, size_t count);

// Step time and memory of the setup's own layout.
TimedLayout time_layout(const TrainSetup& setup, const CostParameters& parameters);
// The smallest number of accelerators, a power of two times a node, on which something fits; 0 when nothing up to 2^20 does.
int64_t fewest_accelerators(TrainSetup setup, const CostParameters& parameters);

}  // namespace finback
