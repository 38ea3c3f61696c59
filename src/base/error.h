// The two check macros. FB_CHECK: a mistake from outside (user, file, config, request) throws Error with one line that says what was
// expected, what was got and a hint. FB_ASSERT: a broken invariant of ours ends the process. Expected outcomes are return values, not these.
// An Error ends in cli/main.cpp (exit 1); on the way the engine drops the request that failed, and a table of plans notes the row (DESIGN.md, Errors).
#pragma once
#include <fmt/format.h>

#include <stdexcept>
#include <string>

namespace finback {

// One line for a person; no file or line number of ours in it.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// A command line that names an unknown verb or flag: exit code 2 instead of 1.
class UsageError : public Error {
 public:
  using Error::Error;
};

// Prints the invariant and its place, then aborts.
[[noreturn]] void assert_failed(const char* condition, const char* file, int line, const std::string& meaning);

}  // namespace finback

#define FB_CHECK(condition, ...)                        \
  do {                                                  \
    if (!(condition)) [[unlikely]]                      \
      throw ::finback::Error(fmt::format(__VA_ARGS__)); \
  } while (0)

#define FB_FAIL(...) throw ::finback::Error(fmt::format(__VA_ARGS__))

#define FB_ASSERT(condition, ...)                                                            \
  do {                                                                                       \
    if (!(condition)) [[unlikely]]                                                           \
      ::finback::assert_failed(#condition, __FILE__, __LINE__, fmt::format("" __VA_ARGS__)); \
  } while (0)
