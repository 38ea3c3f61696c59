// Two runs compared: the second's dollars against the first's as a product of factors (work, MFU, peak, scope, price), from published hours where there are any.
#pragma once
#include <string>

#include "base/json.h"
#include "plan/cost_parameters.h"
#include "plan/plan_spec.h"

namespace finback {

struct ComparedRun {
  std::string name, source;
  double training_flops = 0;                // of pretraining
  double hours = 0, pretraining_hours = 0;  // of accelerators
  bool published = false;                   // the hours; else planned
  double mfu = 0, peak = 0;                 // of pretraining; FLOP/s of an accelerator
  double rate = 0, usd = 0;                 // dollars an hour, of all hours
};
// Second run over first. Hours fall with `mfu` and `peak`, so these two are first over second.
struct PlanComparison {
  ComparedRun a, b;
  double model_flops = 0, mfu = 0, peak = 0, scope = 0;  // their product is `hours`
  double hours = 0, rate = 0, dollars = 0;
};
// Throws Error when a run has neither a rate nor a price.
PlanComparison compare_specs(const PlanSpec& a, const PlanSpec& b, const CostParameters& parameters);

Json comparison_json(const PlanComparison& comparison);
std::string comparison_text(const PlanComparison& comparison);

}  // namespace finback
