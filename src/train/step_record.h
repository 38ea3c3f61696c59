// One optimizer step or one evaluation, in the forms in which it leaves the program: a line of metrics.jsonl, TensorBoard scalars. The
// fields that a clock decides are those of kWallClockFields and are added in one place. Pure functions.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "model/precision_audit.h"
#include "train/evaluation.h"
#include "train/router_view.h"
#include "train/training_step.h"

namespace finback {

// What the schedule and the update did, beside the losses.
struct StepSettings {
  int64_t step = 0;    // this step's number, from 1
  int64_t tokens = 0;  // trained so far, this step included
  int64_t batch_tokens = 0;
  double lr = 0, mtp_lambda = 0, bias_update_speed = 0, clip_scale = 1;
};
// What the clock says; see kWallClockFields.
struct StepClock {
  double elapsed_s = 0;  // of the run, all attempts
  double step_s = 0;
  double tokens_per_s = 0;
  double peak_share = 0;  // useful FLOP/s over the measured peak
  double usd = 0;         // so far
};

Json step_line(const StepSettings& settings, const StepResult& result, const std::vector<RouterStats>& router, const StepClock& clock);
Json eval_line(int64_t step, int64_t tokens, const Validation& validation, double elapsed_s);
// One list a figure, an entry a linear in the order of names; fell_back: the sub-layers that this audit sent to bf16, fallen_back: all so far.
Json audit_line(int64_t step, const PrecisionAudit& audit, const std::vector<std::string>& fell_back,
                const std::vector<std::string>& fallen_back, double elapsed_s);
Json sample_line(int64_t step, const std::string& prompt, const std::string& text, double elapsed_s);

std::vector<std::pair<std::string, double>> step_scalars(const StepSettings& settings, const StepResult& result,
                                                         const std::vector<RouterStats>& router, const StepClock& clock);
// The lowest figure of each kind.
std::vector<std::pair<std::string, double>> audit_scalars(const PrecisionAudit& audit, const std::vector<std::string>& fallen_back);
std::vector<std::pair<std::string, double>> eval_scalars(const Validation& validation);

}  // namespace finback
