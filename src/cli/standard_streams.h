// Standard input, output and error of the process: where a report that cannot be written becomes an error with exit status 1.
#pragma once

#include "base/error.h"

namespace finback {

// Standard output cannot be written to any more: no work that only prints goes on.
class OutputError : public Error {
 public:
  using Error::Error;
};

// At the start: a closed pipe is an error like any other and no signal, and no file that is opened later takes the place of a standard stream
// that was closed.
void open_standard_streams();
// Writes what is buffered for standard output. Throws OutputError when this or anything written before did not get through.
void flush_stdout();

}  // namespace finback
