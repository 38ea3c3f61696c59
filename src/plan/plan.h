// What a training phase will cost: work, step, memory, hours, energy, dollars, each with its assumptions and an interval meant to hold 80 %. Pure functions.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "cost/prices.h"
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

struct PhasePlan {
  PhaseRequest request;
  Candidate chosen;
  LayoutSearch search;                                     // of phases without a given layout
  double flops_causal = 0, flops_full = 0, flops_mtp = 0;  // a token: without MTP, MTP's own
  double spread = 0;                                       // low = mid / spread, high = mid * spread, of times
  double ideal_hours = 0, hours = 0, days = 0, joules = 0, facility_joules = 0, usd = 0;
};

// Throws Error when nothing fits (naming the nearest that does) or the given layout cannot be built.
PhasePlan plan_phase(const PhaseRequest& request, const CostParameters& parameters);

Json plan_json(const std::vector<PhasePlan>& phases);
std::string plan_text(const std::vector<PhasePlan>& phases);

// Half of an 80 % interval, as a factor: from the residuals of rows left out of the fit (configs/cost/parameters.toml).
double step_spread(bool moe, const CostParameters& parameters);
double campaign_spread(bool moe, const CostParameters& parameters);
// Of the planned speed, what published campaigns of the class reach.
double practice_share(bool moe, const CostParameters& parameters);
// {low, mid, high} of hours, days, energy or dollars of a campaign. Published ones stay behind the planner by the practice of their class, so the
// interval lies about mid / practice.
Json campaign_range(double mid, bool moe);

}  // namespace finback
