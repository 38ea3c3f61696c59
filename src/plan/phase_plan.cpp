#include "plan/phase_plan.h"

#include <algorithm>

#include "base/timer.h"
#include "cost/electricity.h"
#include "cost/flops.h"

namespace finback {
namespace {

[[noreturn]] void fail_too_big(const PhaseRequest& r, const LayoutSearch& found, const CostParameters& p) {
  const TrainSetup& s = r.setup;
  std::string hint;
  if (const int64_t gpus = fewest_accelerators(s, p); gpus > s.gpus) hint = fmt::format(". Nearest that fits: --gpus {}", gpus);
  if (found.too_big == 0)
    FB_FAIL("{}: none of {} layouts divides {} accelerators, {} sequences of {} tokens and this model. Hint: --batch-tokens, --gpus",
            r.phase, found.tried, s.gpus, s.batch_seqs, s.seq_len);
  FB_FAIL("{}: no layout fits {} x {} ({} usable each): the smallest, {}, needs {}{}", r.phase, s.gpus, s.gpu.title,
          human_bytes(usable_memory(s.gpu)), layout_name(found.nearest.layout), human_bytes(found.nearest.memory.total()), hint);
}

void choose_layout(PhasePlan& plan, const CostParameters& p) {
  TrainSetup& s = plan.request.setup;
  if (!plan.request.layout_given) {
    plan.search = search_layouts(s, p, 5);
    if (plan.search.best.empty()) fail_too_big(plan.request, plan.search, p);
    plan.chosen = plan.search.best[0];
    s.layout = plan.chosen.layout;
    return;
  }
  const std::string fault = layout_fault(s.layout, s.shape, s.gpus, s.batch_seqs, s.seq_len);
  FB_CHECK(fault.empty(), "--layout {}: {}. Hint: leave --layout out to have one searched", layout_name(s.layout), fault);
  plan.chosen = time_layout(s, p);
  const double room = usable_memory(s.gpu);
  if (plan.chosen.memory.total() > room * (1 + 1e-9)) {
    const LayoutSearch found = search_layouts(s, p, 1);
    if (found.best.empty()) fail_too_big(plan.request, found, p);
    FB_FAIL("--layout {}: needs {} of {} usable on {}. Nearest that fits: --layout {}", layout_name(s.layout),
            human_bytes(plan.chosen.memory.total()), human_bytes(room), s.gpu.title, layout_name(found.best[0].layout));
  }
}

void count_flops(PhasePlan& plan) {
  const TrainSetup& s = plan.request.setup;
  const auto flops = [&](AttentionCount attention, bool mtp) { return train_flops_per_token(s.shape, double(s.seq_len), attention, mtp); };
  plan.parameters = count_parameters(s.shape);
  plan.flops_causal = flops(AttentionCount::kCausal, false);
  plan.flops_full = flops(AttentionCount::kFull, false);
  plan.flops_mtp = flops(AttentionCount::kCausal, true) - plan.flops_causal;
  const double repeated = plan.chosen.time.recompute > 0 ? plan.chosen.recomputed / 3 : 0, with_mtp = plan.flops_causal + plan.flops_mtp;
  plan.flops_recompute = repeated * with_mtp;
  const double rate = plan.chosen.tokens_per_s, peak = s.gpu.bf16_tflops * 1e12;
  plan.peak_shares = {rate * plan.flops_causal / peak, rate * plan.flops_full / peak, rate * with_mtp / peak,
                      rate * (1 + repeated) * with_mtp / peak};
}

void add_memory(PhasePlan& plan) {
  const TrainSetup& s = plan.request.setup;
  plan.usable_memory = usable_memory(s.gpu);
  for (int64_t stage = 0; stage < s.layout.pp; ++stage)
    plan.stages.push_back(stage_memory(s, std::min(1.0, plan.chosen.recomputed), stage));
}

void add_hours_and_dollars(PhasePlan& plan, const CostParameters& p) {
  const PhaseRequest& r = plan.request;
  const TrainSetup& s = r.setup;
  const bool moe = s.shape.is_moe();
  const auto campaign = [&](double mid) { return campaign_interval(mid, moe, p); };
  const double ideal_hours = r.tokens / plan.chosen.tokens_per_s / 3600, hours = ideal_hours / r.goodput;
  plan.ideal_hours = interval_around(ideal_hours, step_spread(moe, p));
  plan.hours = campaign(hours);
  plan.days = campaign(hours / double(s.gpus) / 24);
  const double joules = hours * 3600 * s.gpu.tdp_w * kBoardDraw;
  plan.board_mwh = campaign(joules / 3.6e9);
  plan.facility_mwh = campaign(joules * kFacilityDraw / 3.6e9);
  for (const Price& price : {r.price, r.second_price})
    if (price.usd_per_hour > 0) plan.dollars.push_back({price, campaign(price.usd_per_hour * hours)});
  plan.usd = hours * r.price.usd_per_hour;
  plan.ideal_usd = r.price.usd_per_hour * ideal_hours;
}

}  // namespace

PhasePlan plan_phase(const PhaseRequest& request, const CostParameters& p) {
  PhasePlan plan;
  plan.request = request;
  choose_layout(plan, p);
  count_flops(plan);
  const double rate = plan.chosen.tokens_per_s, spread = step_spread(plan.request.setup.shape.is_moe(), p);
  plan.step_s = interval_around(plan.chosen.time.total(), spread);
  plan.tokens_per_s = interval_around(rate, spread);
  plan.tflops = interval_around(rate * plan.flops_causal / 1e12, spread);
  add_memory(plan);
  add_hours_and_dollars(plan, p);
  return plan;
}

}  // namespace finback
