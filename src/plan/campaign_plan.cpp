#include "plan/campaign_plan.h"

#include <utility>

namespace finback {

CampaignPlan sum_phases(std::vector<PhasePlan> phases) {
  CampaignPlan campaign;
  for (const PhasePlan& phase : phases)
    campaign.hours += phase.hours.mid, campaign.ideal_hours += phase.ideal_hours.mid, campaign.usd += phase.usd;
  campaign.phases = std::move(phases);
  return campaign;
}

void add_rl(CampaignPlan& campaign, const RlPlan& rl) {
  campaign.rl = rl;
  campaign.hours_with_rl = campaign.hours + rl.hours.mid;
  if (rl.usd > 0) campaign.usd_with_rl = campaign.usd + rl.usd;
}

}  // namespace finback
