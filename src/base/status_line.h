// What goes to stderr for people beside errors: the status line, rewritten in place and cut to the terminal's width, and lines of their own that never
// run into it. A plain stream gets whole lines only. One terminal, so one status line in the process. Any thread.
#pragma once
#include <string>
#include <vector>

#include "base/terminal.h"

namespace finback {

// --quiet: no status lines and no information; warnings and errors stay. Set before work starts.
void set_quiet(bool quiet);
bool quiet();

// Rewrites the status line of a terminal; a plain stream gets a line. `last`: it stays and ends.
void show_status(const std::vector<LinePart>& parts, bool last);
// Before anything else is written to the terminal: a status line that is still open stays, and ends; or goes without a trace.
void end_status();
void erase_status();

// A line of information (an evaluation, a step that was skipped); nothing when quiet.
void inform(const std::string& text);
// A line that is always said. Nothing here throws: what cannot be written is lost. Nothing else writes to stderr (tools/check: stderr).
void warn(const std::string& text);

bool stderr_is_terminal();

}  // namespace finback
