#include "plan/rl_plan.h"

#include <gtest/gtest.h>

#include "plan/campaign_report.h"
#include "plan/plan_spec.h"

namespace finback {
namespace {

RlRequest v3_request(double usd_per_hour) {
  const PhaseRequest main = phases_of(load_plan_spec("configs/plans/deepseek-v3.toml"))[0];
  RlRequest r;
  r.serving.setup = main.setup;
  r.serving.setup.gpus = 64;
  r.serving.price = main.price;
  r.serving.price.usd_per_hour = usd_per_hour;
  r.sampled_tokens = 1e12, r.train_tokens_per_s = 1500;
  return r;
}

CampaignPlan trained(double usd) {
  CampaignPlan campaign;
  campaign.hours = 1000, campaign.usd = usd;
  return campaign;
}

double number(const Json& json) { return json.get<double>(); }

TEST(RlPlan, HoursAreTheSumOfItsPartsAndDollarsFollow) {
  const RlPlan plan = plan_rl(v3_request(2), fitted_parameters());
  EXPECT_DOUBLE_EQ(plan.hours.mid, plan.sampling_hours + plan.scoring_hours + plan.training_hours);
  EXPECT_DOUBLE_EQ(plan.training_hours, 1e12 / 1500 / 3600);
  EXPECT_DOUBLE_EQ(plan.usd, 2 * plan.hours.mid);
  EXPECT_LT(plan.hours.low, plan.hours.high);
  // Half of the decoding rate: sampling at all of it takes half as long.
  RlRequest request = v3_request(2);
  request.busy = 1;
  const RlPlan busy = plan_rl(request, fitted_parameters());
  EXPECT_DOUBLE_EQ(plan.sampling_hours, 2 * busy.sampling_hours);
  EXPECT_DOUBLE_EQ(plan.scoring_hours, busy.scoring_hours);
}

TEST(RlPlan, IsAddedToTheTotalOfTraining) {
  const RlPlan rl = plan_rl(v3_request(2), fitted_parameters());
  CampaignPlan campaign = trained(2000);
  add_rl(campaign, rl);
  const Json report = campaign_json(campaign);
  EXPECT_DOUBLE_EQ(number(report["rl"]["hours"]), rl.hours.mid);
  EXPECT_DOUBLE_EQ(number(report["total"]["with_rl_hours"]), 1000 + rl.hours.mid);
  EXPECT_DOUBLE_EQ(number(report["total"]["with_rl_usd"]), 2000 + rl.usd);
  EXPECT_NE(campaign_text(campaign).find("total with reinforcement learning: "), std::string::npos);
}

// Without a price the hours are there and the dollars are not.
TEST(RlPlan, HasNoDollarsWithoutAPrice) {
  CampaignPlan campaign = trained(0);
  add_rl(campaign, plan_rl(v3_request(0), fitted_parameters()));
  const Json report = campaign_json(campaign);
  EXPECT_TRUE(report["rl"]["usd"].is_null() && report["total"]["with_rl_usd"].is_null());
  EXPECT_GT(number(report["total"]["with_rl_hours"]), 1000);
  EXPECT_EQ(campaign_text(campaign).find('$'), std::string::npos);
}

}  // namespace
}  // namespace finback
