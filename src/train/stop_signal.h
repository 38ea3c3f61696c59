// SIGINT and SIGTERM as a question that the loop asks between two steps. The first signal asks for a save and an orderly end, a second one
// ends the process at once. Installed while an object lives, one at a time.
#pragma once

namespace finback {

class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  bool asked() const;
};

}  // namespace finback
