// A training run on the machine at hand, planned from a short measurement: what `finback plan RECIPE --hardware this` and a run's bill share.
#pragma once
#include "base/fields.h"

namespace finback {

struct LocalRun {
  double tokens = 0, batch_tokens = 0;           // to train, in a step
  double measured_tokens_per_s = 0;              // of whole steps, by the measurement
  double evaluated_tokens = 0;                   // all evaluations of the run
  double sampled_tokens = 0;                     // text samples
  double checkpoints = 0, checkpoint_bytes = 0;  // number, bytes of each
  double devices = 1, usd_per_device_hour = 0;
};
struct LocalPlan {
  double train_s = 0, evaluate_s = 0, checkpoint_s = 0, sample_s = 0;
  double wall_hours = 0, device_hours = 0, tokens_per_s = 0, usd = 0;
};
template <class V>
void visit_fields(LocalPlan& p, V& v) {
  v("train_s", p.train_s, "seconds of training steps");
  v("evaluate_s", p.evaluate_s, "seconds of evaluations");
  v("checkpoint_s", p.checkpoint_s, "seconds of checkpoints");
  v("sample_s", p.sample_s, "seconds of text samples");
  v("wall_hours", p.wall_hours, "hours of the run");
  v("device_hours", p.device_hours, "hours times devices");
  v("tokens_per_s", p.tokens_per_s, "trained tokens a second over the whole run");
  v("usd", p.usd, "device_hours times the rate");
}
// An evaluated token costs a forward pass, a third of a trained one; checkpoints are written at 300 MB/s; a sampled token costs four trained ones.
LocalPlan plan_local(const LocalRun& run);

}  // namespace finback
