#include "cost/local_plan.h"

namespace finback {

LocalPlan plan_local(const LocalRun& r) {
  constexpr double kForward = 1.0 / 3, kDiskBytesPerSecond = 300e6, kSampled = 4;
  FB_ASSERT(r.measured_tokens_per_s > 0);
  LocalPlan p;
  p.train_s = r.tokens / r.measured_tokens_per_s;
  p.evaluate_s = kForward * r.evaluated_tokens / r.measured_tokens_per_s;
  p.sample_s = kSampled * r.sampled_tokens / r.measured_tokens_per_s;
  p.checkpoint_s = r.checkpoints * r.checkpoint_bytes / kDiskBytesPerSecond;
  const double seconds = p.train_s + p.evaluate_s + p.sample_s + p.checkpoint_s;
  p.wall_hours = seconds / 3600;
  p.device_hours = p.wall_hours * r.devices;
  p.tokens_per_s = r.tokens / seconds;
  p.usd = p.device_hours * r.usd_per_device_hour;
  return p;
}

}  // namespace finback
