// Remarks on stderr about what was read, left out or taken for something: what a user should know and need not stop for.
#pragma once
#include <string>

namespace finback {

// One line. The same line is printed once a process, however many readers come upon its cause. Any thread.
void notice_once(const std::string& line);

}  // namespace finback
