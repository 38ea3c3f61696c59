// Standard input, output and error of the process: where what cannot be read or written becomes an error with exit status 1.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace finback {

// Standard output cannot be written to any more: no work that only prints goes on.
class OutputError : public Error {
 public:
  using Error::Error;
};

// At the start: a closed pipe and a file that may not grow are errors like any other and no signals, and no file that is opened later takes the place of a standard stream
// that was closed.
void open_standard_streams();
// Where somebody has to type it: a line on stderr that says so.
void say_stdin_is_read();
// Standard input to its end, and a line on stderr when somebody has to type it; on_progress gets the bytes so far. Throws Error when it cannot be read.
std::string read_stdin(const std::function<void(size_t)>& on_progress = {});
// The next line of standard input without its newline; false at the end. Throws Error when it cannot be read.
bool read_stdin_line(std::string& line);
// Buffered. Throws OutputError when it does not get through.
void write_stdout(std::string_view text);
// Writes what is buffered for standard output. Throws OutputError when this or anything written before did not get through.
void flush_stdout();

}  // namespace finback
