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
#include "train/optimizer_step.h"
#include "train/router_view.h"

namespace finback {

// Where a step stands in its run.
struct StepPlace {
  int64_t tokens = 0;  // trained so far, this step included
  int64_t batch_tokens = 0;
  bool last = false;
};
// What the clock says; see kWallClockFields.
struct StepClock {
  double elapsed_s = 0;  // of the run, all attempts
  double step_s = 0;
  double tokens_per_s = 0;
  double peak_share = 0;  // useful FLOP/s over the measured peak
  double usd = 0;         // so far
};

Json step_line(const StepRecord& record, const StepPlace& place, const std::vector<RouterStats>& router, const StepClock& clock);
Json eval_line(int64_t step, int64_t tokens, const Validation& validation, double elapsed_s);
// One list a figure, an entry a linear in the order of names; fell_back: the sub-layers that this audit sent to bf16, fallen_back: all so far.
Json audit_line(int64_t step, const PrecisionAudit& audit, const std::vector<std::string>& fell_back,
                const std::vector<std::string>& fallen_back, double elapsed_s);
Json sample_line(int64_t step, const std::string& prompt, const std::string& text, double elapsed_s);

std::vector<std::pair<std::string, double>> step_scalars(const StepRecord& record, const StepPlace& place,
                                                         const std::vector<RouterStats>& router, const StepClock& clock);
// The lowest figure of each kind.
std::vector<std::pair<std::string, double>> audit_scalars(const PrecisionAudit& audit, const std::vector<std::string>& fallen_back);
std::vector<std::pair<std::string, double>> eval_scalars(const Validation& validation);

}  // namespace finback
