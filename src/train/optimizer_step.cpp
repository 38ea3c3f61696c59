#include "train/optimizer_step.h"

#include "base/timer.h"
#include "train/expert_balance.h"

namespace finback {

StepRecord optimizer_step(Transformer& model, Optimizer& optimizer, const std::vector<MicroBatch>& micro_batches,
                          const StepSettings& settings, std::vector<RouterLog>* routes) {
  StepRecord record;
  record.settings = settings;
  const Timer gradients;
  record.result = accumulate_gradients(model, micro_batches, settings.loss, routes);
  record.gradients_s = gradients.seconds();
  record.not_finite = nonfinite_report(model, record.result);
  if (!record.not_finite.empty()) return record;
  const Timer update;
  record.clip_scale = clip_scale(record.result.grad_norm, settings.grad_clip);
  optimizer.step(settings.lr, settings.step, record.result.grad_norm, settings.grad_clip, record.result.mtp_trained);
  if (settings.bias_update_speed > 0) update_expert_bias(model.parameters(), record.result.loads, settings.bias_update_speed);
  record.update_s = update.seconds();
  return record;
}

}  // namespace finback
