// Reads what a user types: at a terminal with editing, history (arrow keys) and pastes in one piece, several lines too; from anything else line by line.
// The prompt and what is typed go to stderr, so that stdout holds answers alone. While it lives the terminal echoes nothing by itself: what is typed
// during an answer waits for the next prompt and does not run into the answer. One object at a time, one thread.
#pragma once
#include <memory>
#include <string>

#include "cli/input_history.h"
#include "cli/turn_signals.h"

namespace finback {

class LineEditor {
 public:
  // history and signals outlive it; signals may be null where input is no terminal.
  LineEditor(InputHistory& history, TurnSignals* signals);
  ~LineEditor();
  // Whether somebody types at a terminal.
  bool interactive() const { return terminal_ != nullptr; }

  enum class Input { kText, kInterrupted, kEnd };
  // The next input without its last newline. kInterrupted: Ctrl-C, what was typed is gone. kEnd: Ctrl-D on an empty line, or the end of the input.
  Input read(std::string& text);

 private:
  struct Terminal;
  Input read_plain(std::string& text);
  InputHistory& history_;
  std::unique_ptr<Terminal> terminal_;
};

}  // namespace finback
