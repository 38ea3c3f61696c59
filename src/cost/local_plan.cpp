#include "cost/local_plan.h"

#include "base/timer.h"

namespace finback {

LocalPlan plan_local(const LocalRun& r) {
  FB_ASSERT(r.token_s > 0 && r.tokens > 0, "a rehearsal that measured nothing");
  LocalPlan p;
  p.measured = r;
  p.train_s = r.tokens * r.token_s + r.steps * r.update_s;
  p.evaluate_s = r.evaluated_tokens * r.evaluated_token_s;
  p.checkpoint_s = r.checkpoints * r.checkpoint_s;
  p.sample_s = r.samples * r.sample_s;
  p.other_s = r.start_s + r.rehearsal_s + r.audits * r.audit_s;
  const double seconds = p.train_s + p.evaluate_s + p.checkpoint_s + p.sample_s + p.other_s;
  p.wall_hours = seconds / 3600;
  p.device_hours = p.wall_hours * r.devices;
  p.tokens_per_s = r.tokens / seconds;
  p.memory_bytes = r.memory_bytes;
  return p;
}

LocalPlan plan_other_length(const LocalPlan& plan, const LocalRun& counted) {
  LocalRun run = plan.measured;
  run.steps = counted.steps, run.tokens = counted.tokens;
  run.evaluated_tokens = counted.evaluated_tokens, run.samples = counted.samples;
  run.checkpoints = counted.checkpoints, run.audits = counted.audits;
  return plan_local(run);
}

Planned planned_of(const LocalPlan& plan) {
  const double start_hours = (plan.measured.start_s + plan.measured.rehearsal_s) / 3600;
  return {plan.measured.tokens, plan.wall_hours, plan.device_hours, plan.tokens_per_s, plan.memory_bytes, start_hours};
}

LocalCost local_cost(const LocalPlan& plan, const std::string& device, double usd_per_device_hour) {
  return {estimated_electricity(device, plan.device_hours), usd_per_device_hour, plan.device_hours * usd_per_device_hour};
}

std::string local_plan_text(const LocalPlan& p, const std::string& device, double usd_per_device_hour) {
  const LocalRun& r = p.measured;
  std::string text = fmt::format("plan of {:.0f} steps, {} tokens on this machine ({:.0f} x {}), from {:.0f} steps rehearsed in {:.1f} s\n",
                                 r.steps, human_count(r.tokens), r.devices, device, r.rehearsed_steps, r.rehearsal_s);
  const auto line = [&](const char* name, const std::string& value) { text += fmt::format("  {:<12} {}\n", name, value); };
  const auto three = [](double mid, const char* unit) {
    return fmt::format("{:.4f} {:.4f} {:.4f} {}", mid / kLocalBar, mid, mid * kLocalBar, unit);
  };
  line("", fmt::format("low, mid, high where three numbers stand: within a factor {:.2f}, the bar for the bill", kLocalBar));
  line("seconds", fmt::format("{:.1f} training, {:.1f} evaluation, {:.1f} checkpoints, {:.1f} samples, {:.1f} other", p.train_s,
                              p.evaluate_s, p.checkpoint_s, p.sample_s, p.other_s));
  line("hours", three(p.wall_hours, fmt::format("wall; {:.4f} {}-hours", p.device_hours, device).c_str()));
  line("speed", fmt::format("{:.0f} tokens/s while training, {:.0f} over the whole run", 1 / (r.token_s + r.update_s * r.steps / r.tokens),
                            p.tokens_per_s));
  line("memory", human_bytes(p.memory_bytes));
  const LocalCost cost = local_cost(p, device, usd_per_device_hour);
  line("electricity", fmt::format("{:.5f} kWh ({})", cost.power.kwh, cost.power.how));
  line("dollars", three(cost.usd, fmt::format("at ${:.4f} a {}-hour", usd_per_device_hour, device).c_str()));
  return text;
}

}  // namespace finback
