#include "train/progress_line.h"

#include <fmt/format.h>

#include <cstdio>

#include "base/progress.h"

namespace finback {

std::string progress_text(const ProgressNumbers& n) {
  std::string text = fmt::format("step {}/{}  loss {:.4f}  bpb {:.4f}", n.step, n.steps, n.loss, n.bpb);
  if (n.validation_bpb) text += fmt::format("  val {:.4f}", *n.validation_bpb);
  text += fmt::format("  lr {:.2e}  norm {:.2f}  {} tok/s  {:.0f} % of peak  {} left  ${:.4f}", n.lr, n.grad_norm,
                      human_count(n.tokens_per_s), 100 * n.peak_share, human_duration(n.seconds_left), n.usd);
  return text;
}

void ProgressLine::update(const ProgressNumbers& numbers, bool last) {
  const bool terminal = stderr_is_terminal();
  const bool due = !printed_ || last || since_print_.seconds() > (terminal ? 0.2 : 5.0);
  if (!due) return;
  status_line(progress_text(numbers), last);
  open_line_ = terminal && !last;
  printed_ = true;
  since_print_.restart();
}

void ProgressLine::end_line() {
  if (open_line_) fmt::print(stderr, "\n");
  open_line_ = false;
}

void ProgressLine::note(const std::string& text) {
  end_line();
  fmt::print(stderr, "{}\n", text);
  std::fflush(stderr);
}

}  // namespace finback
