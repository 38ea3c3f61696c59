// Progress on stderr: one rewritten line with rate and ETA on a terminal, a plain line every few seconds otherwise. Silent for work
// that ends within two seconds. One thread.
#pragma once
#include <string>

#include "base/timer.h"

namespace finback {

class Progress {
 public:
  // total <= 0: unknown. unit: "MB", "tokens".
  Progress(std::string what, double total, std::string unit);
  ~Progress();
  void update(double done, const std::string& note = "");
  // Ends the line with the final rate.
  void finish(const std::string& note = "");

 private:
  void print(double done, const std::string& note, bool last);
  std::string what_, unit_;
  double total_, done_ = 0, printed_at_ = 0;
  bool terminal_, shown_ = false, finished_ = false;
  Timer timer_;
};

// Rewrites the current terminal line (stderr); with a plain stream it prints a whole line.
void status_line(const std::string& text, bool last);
bool stderr_is_terminal();

}  // namespace finback
