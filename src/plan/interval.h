// A planned figure with the ends of its 80 % interval. Its width is what published rows that were left out of the fit say (configs/cost/parameters.toml;
// how well it holds: docs/cost-model.md), by class of model: dense or mixture of experts.
#pragma once
#include "base/json.h"
#include "plan/cost_parameters.h"

namespace finback {

struct Interval {
  double low = 0, mid = 0, high = 0;
};
// low = mid / factor, high = mid * factor.
Interval interval_around(double mid, double factor);
// Hours, days, energy or dollars of a whole campaign. Published campaigns reach only a share of the planned speed, so the interval lies about
// mid / practice_share.
Interval campaign_interval(double mid, bool moe, const CostParameters& parameters);
Json interval_json(const Interval& interval);

// Half of the interval of a step's time, and of a campaign's hours, as a factor.
double step_spread(bool moe, const CostParameters& parameters);
double campaign_spread(bool moe, const CostParameters& parameters);
// Of the planned speed, what published campaigns of the class reach.
double practice_share(bool moe, const CostParameters& parameters);

}  // namespace finback
