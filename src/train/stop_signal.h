// SIGINT, SIGTERM and SIGHUP (a closed terminal) as a question that the loop asks between two steps, and in between what happens next, on stderr.
// The first signal asks for a save and an orderly end, a second one ends the process at once; another signal within a second of the first is the
// same wish, passed on by whoever started us. A reader that went away (SIGPIPE) ends nothing. Installed while an object lives, one at a time.
#pragma once

namespace finback {

class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  bool asked() const;
  // The first signal's number, 0 without one. A stopped command ends with exit code 128 + number().
  int number() const;
  // What a signal that comes from now on says. REQUIRES: the text lives as long as the process (a literal).
  void announce(const char* what_happens_next) const;
};

}  // namespace finback
