#include "plan/serve_plan.h"

#include <gtest/gtest.h>

#include "plan/plan.h"
#include "plan/plan_spec.h"

namespace finback {
namespace {

ServeRequest v3_request(double usd_per_hour) {
  const PhaseRequest main = phases_of(load_plan_spec("configs/plans/deepseek-v3.toml"))[0];
  ServeRequest r;
  r.setup = main.setup;
  r.setup.gpus = 64;
  r.price = main.price;
  r.price.usd_per_hour = usd_per_hour;
  return r;
}

double number(const Json& json) { return json.get<double>(); }

TEST(RlReport, HoursAreTheSumOfItsPartsAndDollarsFollow) {
  const Json rl = rl_json(v3_request(2), 1e12, 1500, fitted_parameters());
  EXPECT_DOUBLE_EQ(number(rl["hours"]), number(rl["sampling_hours"]) + number(rl["scoring_hours"]) + number(rl["training_hours"]));
  EXPECT_DOUBLE_EQ(number(rl["training_hours"]), 1e12 / 1500 / 3600);
  EXPECT_DOUBLE_EQ(number(rl["usd"]), 2 * number(rl["hours"]));
  EXPECT_LT(number(rl["hours_low"]), number(rl["hours_high"]));
  // Half of the decoding rate: sampling at all of it takes half as long.
  const RlPlan busy = plan_rl(v3_request(2), 1e12, 1500, 2, 1, fitted_parameters());
  EXPECT_DOUBLE_EQ(number(rl["sampling_hours"]), 2 * busy.sampling_hours);
  EXPECT_DOUBLE_EQ(number(rl["scoring_hours"]), busy.scoring_hours);
}

TEST(RlReport, IsAddedToTheTotalOfTraining) {
  const Json rl = rl_json(v3_request(2), 1e12, 1500, fitted_parameters());
  Json report = {{"total", {{"campaign_hours", 1000.0}, {"usd", 2000.0}}}};
  add_rl(report, rl);
  EXPECT_DOUBLE_EQ(number(report["total"]["with_rl_hours"]), 1000 + number(rl["hours"]));
  EXPECT_DOUBLE_EQ(number(report["total"]["with_rl_usd"]), 2000 + number(rl["usd"]));
  EXPECT_NE(rl_text(report, v3_request(2).price).find("total with reinforcement learning: "), std::string::npos);
}

// Without a price the hours are there and the dollars are not.
TEST(RlReport, HasNoDollarsWithoutAPrice) {
  Json report = {{"total", {{"campaign_hours", 1000.0}, {"usd", nullptr}}}};
  add_rl(report, rl_json(v3_request(0), 1e12, 1500, fitted_parameters()));
  EXPECT_TRUE(report["rl"]["usd"].is_null() && report["total"]["with_rl_usd"].is_null());
  EXPECT_GT(number(report["total"]["with_rl_hours"]), 1000);
  EXPECT_EQ(rl_text(report, v3_request(0).price).find('$'), std::string::npos);
}

}  // namespace
}  // namespace finback
