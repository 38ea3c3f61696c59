#include "plan/interval.h"

namespace finback {

Interval interval_around(double mid, double factor) { return {mid / factor, mid, mid * factor}; }

Interval campaign_interval(double mid, bool moe, const CostParameters& p) {
  const Interval usual = interval_around(mid / practice_share(moe, p), campaign_spread(moe, p));
  return {usual.low, mid, usual.high};
}

Json interval_json(const Interval& interval) { return {{"low", interval.low}, {"mid", interval.mid}, {"high", interval.high}}; }

double step_spread(bool moe, const CostParameters& p) { return moe ? p.spread_step_moe : p.spread_step_dense; }
double campaign_spread(bool moe, const CostParameters& p) { return moe ? p.spread_hours_moe : p.spread_hours_dense; }
double practice_share(bool moe, const CostParameters& p) { return moe ? p.practice_moe : p.practice_dense; }

}  // namespace finback
