// Signals during a conversation: Ctrl-C as a question that an answer or a line editor asks (it ends those, not the program), SIGTERM and SIGHUP as the
// wish to leave in order, SIGWINCH. Installed while an object lives, one at a time.
#pragma once

namespace finback {

class TurnSignals {
 public:
  TurnSignals();
  ~TurnSignals();
  TurnSignals(const TurnSignals&) = delete;
  // Ctrl-C, or the wish to leave, since the last take_interrupt().
  bool interrupted() const;
  void take_interrupt();
  // The signal that asks to leave, 0 when none came. The exit code is 128 + this.
  int leaving() const;
  // Whether the terminal changed its size since the last call.
  bool take_resize();
};

}  // namespace finback
