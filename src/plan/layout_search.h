// The fastest layouts that fit: every power-of-two cut of the accelerators is timed and weighed. Knows no prices.
#pragma once
#include <string>
#include <vector>

#include "plan/stage_memory.h"

namespace finback {

struct Candidate {
  Layout layout;
  StepTime time;
  StageMemory memory;
  double recomputed = 0;  // share of kept values computed again
  double tokens_per_s = 0;
};
struct LayoutSearch {
  std::vector<Candidate> best;  // fastest first, at most `count`
  int64_t tried = 0, too_big = 0, indivisible = 0;
  Candidate nearest;  // of those too big, the smallest; meaningful when too_big > 0
};
LayoutSearch search_layouts(TrainSetup setup, const CostParameters& parameters, size_t count);

// Times and weighs one layout.
Candidate weigh_layout(const TrainSetup& setup, const CostParameters& parameters);
// The smallest number of accelerators, a power of two times a node, on which something fits; 0 when nothing up to 2^20 does.
int64_t fewest_accelerators(TrainSetup setup, const CostParameters& parameters);

}  // namespace finback
