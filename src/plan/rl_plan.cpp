#include "plan/rl_plan.h"

#include "base/timer.h"

namespace finback {
namespace {

constexpr const char* kAssumed =
    "answers of --output tokens; half of the decoding rate is lost to waiting for the longest; old policy and reference score each "
    "token; the interval is that of campaigns";

}  // namespace

RlPlan plan_rl(const RlRequest& r, const CostParameters& p) {
  const ServePlan serving = plan_serving(r.serving, p);
  RlPlan plan;
  plan.sampled_tokens = r.sampled_tokens;
  plan.sampling_hours = r.sampled_tokens / (serving.decode_tokens_per_s * r.busy) / 3600;
  plan.training_hours = r.sampled_tokens / r.train_tokens_per_s / 3600;
  plan.scoring_hours = r.scorers * r.sampled_tokens / serving.prefill_tokens_per_s / 3600;
  const double hours = plan.sampling_hours + plan.training_hours + plan.scoring_hours;
  plan.hours = campaign_interval(hours, r.serving.setup.shape.is_moe(), p);
  plan.price = r.serving.price;
  plan.usd = hours * plan.price.usd_per_hour;
  return plan;
}

Json rl_json(const RlPlan& plan) {
  return {{"sampled_tokens", plan.sampled_tokens},
          {"hours_low", plan.hours.low},
          {"hours_high", plan.hours.high},
          {"sampling_hours", plan.sampling_hours},
          {"scoring_hours", plan.scoring_hours},
          {"training_hours", plan.training_hours},
          {"hours", plan.hours.mid},
          {"usd", plan.usd > 0 ? Json(plan.usd) : Json()},
          {"usd_per_hour", plan.price.usd_per_hour},
          {"assumed", kAssumed}};
}

std::string rl_text(const RlPlan& plan) {
  const std::string dollars = plan.usd > 0 ? fmt::format("${} at ${:.2f} ({}, {})", human_figure(plan.usd), plan.price.usd_per_hour,
                                                         plan.price.kind, plan.price.date)
                                           : "no price";
  return fmt::format(
      "reinforcement learning: {}, {}, {} hours for {} sampled tokens: sampling {}, scoring {}, training {}; {}. Not fitted to runs: {}\n",
      human_figure(plan.hours.low), human_figure(plan.hours.mid), human_figure(plan.hours.high), human_figure(plan.sampled_tokens),
      human_figure(plan.sampling_hours), human_figure(plan.scoring_hours), human_figure(plan.training_hours), dollars, kAssumed);
}

}  // namespace finback
