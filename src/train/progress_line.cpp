#include "train/progress_line.h"

#include <fmt/format.h>

#include <cmath>

namespace finback {

std::vector<LinePart> progress_line_parts(const ProgressNumbers& n) {
  const double share = n.steps > 0 ? double(n.step) / double(n.steps) : 0;
  std::vector<LinePart> parts = {{fmt::format("step {}/{}", n.step, n.steps), 0},
                                 {fmt::format("{:.0f} %", std::floor(100 * share)), 2},
                                 {std::isfinite(n.seconds_left) ? human_duration(n.seconds_left) + " left" : "", 1},
                                 {fmt::format("loss {:.4f}", n.loss), 3},
                                 {fmt::format("bpb {:.4f}", n.bpb), 4}};
  if (n.validation_bpb) parts.push_back({fmt::format("val {:.4f}", *n.validation_bpb), 4});
  parts.push_back({fmt::format("{} tok/s", human_count(n.tokens_per_s)), 5});
  parts.push_back({fmt::format("${:.4f}", n.usd), 6});
  parts.push_back({fmt::format("{:.0f} % of peak", 100 * n.peak_share), 7});
  parts.push_back({fmt::format("lr {:.2e}", n.lr), 8});
  parts.push_back({fmt::format("norm {:.2f}", n.grad_norm), 9});
  return parts;
}

void ProgressLine::update(const ProgressNumbers& numbers, bool last) {
  const bool due = !printed_ || last || since_print_.seconds() > (stderr_is_terminal() ? 0.2 : 5.0);
  if (!due) return;
  show_status(progress_line_parts(numbers), last);
  printed_ = true;
  since_print_.restart();
}

}  // namespace finback
