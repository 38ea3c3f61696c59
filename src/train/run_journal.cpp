#include "train/run_journal.h"

#include <system_error>

#include "base/terminal.h"
#include "base/timer.h"

namespace finback {
namespace {

constexpr double kLoggedEvery = 30;  // seconds between two steps in log.txt

// A reader of stderr that went away is no reason to end a run.
template <class F>
void on_screen(F&& print) {
  try {
    print();
  } catch (const std::system_error&) {
  }
}

}  // namespace

RunJournal::RunJournal(const RunFolder& folder, uint64_t metrics_bytes, uint64_t events_bytes, const std::string& machine, RunLog& log)
    : log_(folder.metrics(), metrics_bytes, machine), events_(folder.events(), events_bytes, unix_seconds()), text_(log) {}

void RunJournal::note(const std::string& text) {
  on_screen([&] { progress_.note(text); });
  text_.line(text);
}

void RunJournal::step(const StepRecord& record, const StepPlace& place, const StepClock& clock, const std::vector<RouterStats>& router,
                      int64_t steps, double seconds_left) {
  const StepResult& result = record.result;
  const int64_t step = record.settings.step;
  log_.append(step_line(record, place, router, clock));
  events_.scalars(step, unix_seconds(), step_scalars(record, place, router, clock));
  const ProgressNumbers numbers{step,
                                steps,
                                result.main_loss,
                                result.bpb,
                                validation_bpb_,
                                record.settings.lr,
                                result.grad_norm,
                                clock.tokens_per_s,
                                clock.peak_share,
                                seconds_left,
                                clock.usd};
  on_screen([&] { progress_.update(numbers, place.last); });
  if (logged_ && !place.last && since_logged_.seconds() < kLoggedEvery) return;
  logged_ = true;
  since_logged_.restart();
  text_.line(fit_line(progress_line_parts(numbers), 1000));  // whole
}

void RunJournal::evaluation(int64_t step, int64_t tokens, const Validation& validation, double elapsed_s) {
  log_.append(eval_line(step, tokens, validation, elapsed_s));
  events_.scalars(step, unix_seconds(), eval_scalars(validation));
  validation_bpb_ = validation.bpb;
  std::string acceptance;
  for (const double share : validation.mtp_acceptance) acceptance += fmt::format(", MTP acceptance {:.1f} %", 100 * share);
  note(fmt::format("step {}: validation {:.4f} bits a byte{}", step, validation.bpb, acceptance));
}

void RunJournal::sample(int64_t step, const std::string& prompt, const std::string& text, double elapsed_s) {
  log_.append(sample_line(step, prompt, text, elapsed_s));
  note(fmt::format("sample: {}{}", prompt, text));
}

void RunJournal::audit(int64_t step, const PrecisionAudit& audit, const std::vector<std::string>& fell,
                       const std::vector<std::string>& fallen_back, double elapsed_s) {
  log_.append(audit_line(step, audit, fell, fallen_back, elapsed_s));
  events_.scalars(step, unix_seconds(), audit_scalars(audit, fallen_back));
  for (const std::string& name : fell) note(fmt::format("step {}: {} is below its bar in fp8 and goes on in bf16", step, name));
}

void RunJournal::sync() {
  log_.sync();
  events_.sync();
}

}  // namespace finback
