// Seconds of collectives on a two-level machine: a scale-up domain with fast links, and a network port for each accelerator. Bandwidth and hops; no overlap.
#pragma once
#include "cost/hardware.h"
#include "plan/cost_parameters.h"

namespace finback {

// `group` ranks, every `stride`-th accelerator in placement order (tp innermost): how many of a group share a domain follows from it.
struct RankGroup {
  int64_t size = 1, stride = 1;
};

// Every rank ends with `bytes` (gather), or starts with them and keeps its part of the sum (scatter): the same traffic.
double gather_seconds(double bytes, RankGroup group, const Accelerator& gpu, const CostParameters& p);
// Every rank sends `bytes` spread evenly over the group; `copies`: how many ranks each item goes to, which a network sends once a domain.
double exchange_seconds(double bytes, double copies, RankGroup group, const Accelerator& gpu, const CostParameters& p);

}  // namespace finback
