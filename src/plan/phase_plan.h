// One phase of training (pretraining, a context extension, fine-tuning) planned: work, step, memory, hours, energy, dollars. Pure functions that fill a
// struct; printing is in campaign_report.h.
#pragma once
#include <string>
#include <vector>

#include "cost/parameter_count.h"
#include "cost/prices.h"
#include "plan/interval.h"
#include "plan/layout_search.h"

namespace finback {

struct PhaseRequest {
  std::string phase = "pretraining";
  TrainSetup setup;  // its layout counts when `layout_given`
  bool layout_given = false;
  double tokens = 0;
  double goodput = 0.89;      // ideal hours / charged hours
  Price price, second_price;  // usd_per_hour 0: none
};

// Of the dense 16-bit peak. MFU by three counts of a token's FLOPs; HFU with MTP and recomputed FLOPs.
struct PeakShares {
  double mfu = 0, mfu_full_attention = 0, mfu_with_mtp = 0, hfu = 0;
};
struct PricedHours {
  Price price;
  Interval usd;
};

struct PhasePlan {
  PhaseRequest request;  // with the chosen layout
  TimedLayout chosen;
  LayoutSearch search;  // of phases without a given layout
  ParameterCount parameters;
  double flops_causal = 0, flops_full = 0, flops_mtp = 0, flops_recompute = 0;  // a token: without MTP, MTP's own, recomputed
  Interval step_s, tokens_per_s, tflops;                                        // the rates are of one accelerator
  PeakShares peak_shares;
  std::vector<StageMemory> stages;
  double usable_memory = 0;
  Interval ideal_hours, hours, days, board_mwh, facility_mwh;  // hours: of accelerators, at the request's goodput
  std::vector<PricedHours> dollars;                            // at the request's prices, those that it has
  double usd = 0, ideal_usd = 0;                               // at the first price, of hours and of ideal hours; 0: no price
};

// What a datacentre draws for a watt of its boards (arXiv 2605.01158).
inline constexpr double kFacilityDraw = 1.74;

// Throws Error when nothing fits (naming the nearest that does) or the given layout cannot be built.
PhasePlan plan_phase(const PhaseRequest& request, const CostParameters& parameters);

}  // namespace finback
