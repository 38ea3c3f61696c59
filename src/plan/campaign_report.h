// A planned campaign for programs and for people: printing only, every figure is in the struct (campaign_plan.h).
#pragma once
#include <string>

#include "plan/campaign_plan.h"

namespace finback {

Json campaign_json(const CampaignPlan& campaign);
std::string campaign_text(const CampaignPlan& campaign);

}  // namespace finback
