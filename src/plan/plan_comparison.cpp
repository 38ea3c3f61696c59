#include "plan/plan_comparison.h"

#include "base/timer.h"
#include "cost/flops.h"

namespace finback {
namespace {

ComparedRun compared_run(const PlanSpec& spec, const CostParameters& p) {
  const std::vector<PhaseRequest> phases = phases_of(spec);
  const TrainSetup& s = phases[0].setup;
  ComparedRun run;
  run.name = spec.name, run.source = spec.source;
  run.training_flops = train_flops_per_token(s.shape, double(s.seq_len), AttentionCount::kCausal, false) * phases[0].tokens;
  run.published = spec.published_hours > 0;
  if (run.published) {
    run.hours = spec.published_hours;
    run.pretraining_hours = spec.published_pretraining_hours > 0 ? spec.published_pretraining_hours : spec.published_hours;
  } else {
    for (const PhaseRequest& phase : phases) run.hours += plan_phase(phase, p).hours.mid;
    run.pretraining_hours = plan_phase(phases[0], p).hours.mid;
  }
  run.peak = s.gpu.bf16_tflops * 1e12;
  run.mfu = run.training_flops / (run.pretraining_hours * 3600 * run.peak);
  run.rate = phases[0].price.usd_per_hour;
  FB_CHECK(run.rate > 0, "{}: no price for {}. Hint: rate = USD in the plan", spec.name, s.gpu.name);
  run.usd = run.hours * run.rate;
  return run;
}

Json run_json(const ComparedRun& run) {
  return {{"name", run.name},
          {"training_flops", run.training_flops},
          {"hours", run.hours},
          {"pretraining_hours", run.pretraining_hours},
          {"hours_are", run.published ? "published" : "planned"},
          {"mfu", run.mfu},
          {"rate", run.rate},
          {"usd", run.usd},
          {"source", run.source}};
}

}  // namespace

PlanComparison compare_specs(const PlanSpec& a, const PlanSpec& b, const CostParameters& p) {
  PlanComparison c;
  const ComparedRun& x = c.a = compared_run(a, p);
  const ComparedRun& y = c.b = compared_run(b, p);
  c.model_flops = y.training_flops / x.training_flops;
  c.mfu = x.mfu / y.mfu;
  c.peak = x.peak / y.peak;
  c.scope = (x.pretraining_hours / x.hours) / (y.pretraining_hours / y.hours);
  c.hours = y.hours / x.hours;
  c.rate = y.rate / x.rate;
  c.dollars = y.usd / x.usd;
  return c;
}

Json comparison_json(const PlanComparison& c) {
  return {{"a", run_json(c.a)},
          {"b", run_json(c.b)},
          {"factors", {{"model_flops", c.model_flops}, {"mfu", c.mfu}, {"peak", c.peak}, {"scope", c.scope}}},
          {"hours", c.hours},
          {"rate", c.rate},
          {"dollars", c.dollars}};
}

std::string comparison_text(const PlanComparison& c) {
  std::string text = fmt::format("{} against {}\n", c.b.name, c.a.name);
  for (const ComparedRun* run : {&c.a, &c.b})
    text += fmt::format("  {:<16} {:.3g} training FLOPs, {} {} hours, MFU {:.1f} %, ${:.2f} an hour, ${}  [{}]\n", run->name,
                        run->training_flops, human_figure(run->hours), run->published ? "published" : "planned", 100 * run->mfu, run->rate,
                        human_figure(run->usd), run->source);
  const auto line = [&](const char* name, double value, const char* basis) {
    text += fmt::format("  {:<16} {:>8.3f}   {}\n", name, value, basis);
  };
  line("model FLOPs", c.model_flops, "tokens x FLOPs per token, causal attention included");
  line("MFU", c.mfu, "of pretraining hours, on the 16-bit peak");
  line("peak", c.peak, "of one accelerator");
  line("scope", c.scope, "pretraining's share of the hours that are counted");
  line("hours", c.hours, "product of the four");
  line("rate", c.rate, "dollars an hour: a choice of price, not engineering");
  line("dollars", c.dollars, "hours x rate");
  return text;
}

}  // namespace finback
