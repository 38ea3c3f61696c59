// Where a run says what happens: metrics.jsonl, TensorBoard events, the line on stderr and log.txt. Every fact enters once and leaves in all forms that
// it has. Decides nothing.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "train/metrics.h"
#include "train/progress_line.h"
#include "train/run_folder.h"
#include "train/run_log.h"
#include "train/step_record.h"
#include "train/tensorboard.h"

namespace finback {

class RunJournal {
 public:
  // Opens both files for appending, cut to what the checkpoint knows of them (0 bytes of a new run). `machine`: see MetricsLog. `log` outlives it.
  RunJournal(const RunFolder& folder, uint64_t metrics_bytes, uint64_t events_bytes, const std::string& machine, RunLog& log);

  // `steps`: of the whole run.
  void step(const StepRecord& record, const StepPlace& place, const StepClock& clock, const std::vector<RouterStats>& router, int64_t steps,
            double seconds_left);
  void evaluation(int64_t step, int64_t tokens, const Validation& validation, double elapsed_s);
  void sample(int64_t step, const std::string& prompt, const std::string& text, double elapsed_s);
  // fell: sub-layers that this audit sent to bf16; fallen_back: all so far.
  void audit(int64_t step, const PrecisionAudit& audit, const std::vector<std::string>& fell, const std::vector<std::string>& fallen_back,
             double elapsed_s);
  void note(const std::string& text);
  // Leaves the line that is rewritten as it stands: what comes next writes its own.
  void end_line() { progress_.end_line(); }

  uint64_t metrics_bytes() const { return log_.size(); }
  uint64_t events_bytes() const { return events_.size(); }
  // Makes all lines durable.
  void sync();

 private:
  MetricsLog log_;
  EventFile events_;
  ProgressLine progress_;
  RunLog& text_;
  Timer since_logged_;
  bool logged_ = false;                   // a step
  std::optional<double> validation_bpb_;  // newest
};

}  // namespace finback
