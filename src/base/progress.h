// Progress of work that may take more than two seconds, on stderr: what, how much of it, percent, rate and time left. A terminal gets one status line,
// others a plain line every few seconds. A thread of its own prints, so a phase that calls nothing for minutes is not silent either. Of several that live
// at once the newest is shown. Silent for work that ends within two seconds, and with --quiet. Used by one thread.
#pragma once
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/pace.h"
#include "base/terminal.h"
#include "base/timer.h"

namespace finback {

// How far a piece of work is.
struct ProgressState {
  std::string what;  // "tokenize train"
  double total = 0;  // in `unit`; 0: unknown
  std::string unit;  // "MB", "tokens"; empty: a phase of which only the time is known
  double done = 0;
  double seconds = 0;       // since it began
  double rate = 0;          // units a second; 0: not known yet
  double seconds_left = 0;  // infinite: not known yet
  std::string note;
};
std::vector<LinePart> progress_parts(const ProgressState& state, bool last);

class Progress {
 public:
  // total <= 0: unknown.
  explicit Progress(std::string what, double total = 0, std::string unit = "");
  // Ends what `finish` did not: the last line stays.
  ~Progress();
  Progress(const Progress&) = delete;
  // The first call marks where the work begins: what came before it is not part of the rate.
  void update(double done, const std::string& note = "");
  // Ends the line with what the whole took.
  void finish(const std::string& note = "");
  // Ends without a trace on a terminal: what follows speaks for itself.
  void vanish();

 private:
  void run();
  void stop();
  ProgressState state() const;

  const bool terminal_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  ProgressState state_;
  Pace pace_;
  Timer timer_;
  double updated_at_ = 0;
  bool shown_ = false, stopping_ = false;
  Progress* outer_ = nullptr;
  std::thread ticker_;
};

}  // namespace finback
