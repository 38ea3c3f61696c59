// A training run on the machine at hand, planned from a rehearsal: what `finback plan RECIPE --hardware this` prints, what a run writes as
// plan.json before its first step, and what its bill is held against. Arithmetic on measured seconds; who measures: train/rehearsal.h.
#pragma once
#include <string>

#include "base/fields.h"
#include "cost/bill.h"
#include "cost/electricity.h"

namespace finback {

// What the rehearsal measured, and how often the run does it.
struct LocalRun {
  double steps = 0, tokens = 0;
  double rehearsed_steps = 0;
  double token_s = 0, update_s = 0;                    // gradients of a trained token; the rest of a step
  double evaluated_tokens = 0, evaluated_token_s = 0;  // of all evaluations
  double samples = 0, sample_s = 0;                    // texts
  double checkpoints = 0, checkpoint_s = 0;            // one of them
  double audits = 0, audit_s = 0;                      // of FP8, beyond the step that they are part of
  double start_s = 0, rehearsal_s = 0;                 // opening the model; the rehearsal itself, which the run pays for
  double memory_bytes = 0;                             // peak of the process
  double devices = 1;
};
template <class V>
void visit_fields(LocalRun& r, V& v) {
  v("steps", r.steps, "optimizer steps");
  v("tokens", r.tokens, "trained tokens");
  v("rehearsed_steps", r.rehearsed_steps, "steps that were timed");
  v("token_s", r.token_s, "seconds a trained token: forward, loss, backward");
  v("update_s", r.update_s, "seconds per step besides: optimizer, balance");
  v("evaluated_tokens", r.evaluated_tokens, "tokens of all evaluations");
  v("evaluated_token_s", r.evaluated_token_s, "seconds of each");
  v("samples", r.samples, "text samples");
  v("sample_s", r.sample_s, "seconds of each");
  v("checkpoints", r.checkpoints, "checkpoints");
  v("checkpoint_s", r.checkpoint_s, "seconds of each");
  v("audits", r.audits, "FP8 audits");
  v("audit_s", r.audit_s, "seconds of each, beside its step");
  v("start_s", r.start_s, "seconds until the first step");
  v("rehearsal_s", r.rehearsal_s, "seconds of the rehearsal");
  v("memory_bytes", r.memory_bytes, "peak memory of the process");
  v("devices", r.devices, "vCPUs or accelerators");
}

struct LocalPlan {
  LocalRun measured;
  double train_s = 0, evaluate_s = 0, checkpoint_s = 0, sample_s = 0, other_s = 0;
  double wall_hours = 0, device_hours = 0, tokens_per_s = 0, memory_bytes = 0;
};
template <class V>
void visit_fields(LocalPlan& p, V& v) {
  v("measured", p.measured, "what it is made of");
  v("train_s", p.train_s, "seconds of training steps");
  v("evaluate_s", p.evaluate_s, "seconds of evaluations");
  v("checkpoint_s", p.checkpoint_s, "seconds of checkpoints");
  v("sample_s", p.sample_s, "seconds of text samples");
  v("other_s", p.other_s, "seconds of start, rehearsal and audits");
  v("wall_hours", p.wall_hours, "hours of the run");
  v("device_hours", p.device_hours, "hours times devices");
  v("tokens_per_s", p.tokens_per_s, "trained tokens per second over the whole run");
  v("memory_bytes", p.memory_bytes, "peak memory of the process");
}
LocalPlan plan_local(const LocalRun& measured);
// The plan of a run of another length: `counted` says how often it does what (rehearsal.h : counted_run), the seconds are those of `plan`.
LocalPlan plan_other_length(const LocalPlan& plan, const LocalRun& counted);
// What a bill keeps of it.
Planned planned_of(const LocalPlan& plan);

// How far a bill may be from its plan, as a factor: the bar that plans are held to, not a measured interval.
inline constexpr double kLocalBar = 1.15;
// What the hours of a plan cost.
struct LocalCost {
  Electricity power;
  double usd_per_device_hour = 0, usd = 0;
};
LocalCost local_cost(const LocalPlan& plan, const std::string& device, double usd_per_device_hour);
// The plan for people; dollars at `usd_per_device_hour`, with low and high where a bill within the bar would lie.
std::string local_plan_text(const LocalPlan& plan, const std::string& device, double usd_per_device_hour);

}  // namespace finback
