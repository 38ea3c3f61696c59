// A line on stderr about something that was left out or chosen. Any thread.
#pragma once
#include <string>

namespace finback {

// The same line only once in a process.
void note_once(const std::string& line);

}  // namespace finback
