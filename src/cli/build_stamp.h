// What the program was built from: written by cmake/build_stamp.cmake at each build, in one file of its own, so that a commit compiles nothing else anew.
#pragma once

namespace finback {

extern const char* const kVersion;   // "0.1.0"
extern const char* const kCommit;    // twelve hexadecimal digits, "-modified" behind them for a changed tree; "unknown" outside a git tree
extern const char* const kCompiler;  // "GNU 12.2.0"

}  // namespace finback
