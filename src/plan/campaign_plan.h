// The plan of a whole campaign: its training phases, their sum, and reinforcement learning after them. Computed once; campaign_report.h prints it.
#pragma once
#include <optional>
#include <vector>

#include "plan/phase_plan.h"
#include "plan/rl_plan.h"

namespace finback {

struct CampaignPlan {
  std::vector<PhasePlan> phases;
  double ideal_hours = 0, hours = 0, usd = 0;  // of the phases; usd 0: no price
  std::optional<RlPlan> rl;
  double hours_with_rl = 0, usd_with_rl = 0;  // 0 without
};

CampaignPlan sum_phases(std::vector<PhasePlan> phases);
void add_rl(CampaignPlan& campaign, const RlPlan& rl);

}  // namespace finback
