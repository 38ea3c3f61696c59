// The report of a planned campaign, as JSON and as text. Prints only: every figure comes from the struct (campaign_plan.h).
#pragma once
#include <string>

#include "plan/campaign_plan.h"

namespace finback {

Json campaign_json(const CampaignPlan& campaign);
std::string campaign_text(const CampaignPlan& campaign);

}  // namespace finback
