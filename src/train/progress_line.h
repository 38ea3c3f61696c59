// The trainer's line for people on stderr: step, percent, time left, losses, bits per byte, tokens/s, dollars so far, share of the measured FMA peak. One
// rewritten line on a terminal, with as much of it as fits; plain lines every few seconds otherwise. Decides nothing.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status_line.h"
#include "base/timer.h"

namespace finback {

struct ProgressNumbers {
  int64_t step = 0, steps = 0;
  double loss = 0;                       // main, nats a token
  double bpb = 0;                        // of the training batch, bits a byte
  std::optional<double> validation_bpb;  // newest
  double lr = 0, grad_norm = 0;
  double tokens_per_s = 0;
  double peak_share = 0;  // useful FLOP/s over the measured peak
  double seconds_left = 0;
  double usd = 0;
};
std::vector<LinePart> progress_line_parts(const ProgressNumbers& numbers);

class ProgressLine {
 public:
  ~ProgressLine() { end_status(); }
  // Prints when due: at most 5 times a second on a terminal, every 5 seconds elsewhere; `last` always.
  void update(const ProgressNumbers& numbers, bool last);
  // A line of its own (an evaluation, a sample, a saved checkpoint).
  void note(const std::string& text) { inform(text); }
  // Ends the rewritten line, when there is one.
  void end_line() { end_status(); }

 private:
  Timer since_print_;
  bool printed_ = false;
};

}  // namespace finback
