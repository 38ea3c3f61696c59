#include "base/error.h"

#include <cstdio>
#include <cstdlib>

namespace finback {

void assert_failed(const char* condition, const char* file, int line, const std::string& meaning) {
  std::fputs(
      fmt::format("finback: broken invariant `{}` at {}:{}{}{}\n", condition, file, line, meaning.empty() ? "" : ": ", meaning).c_str(),
      stderr);
  std::fflush(stderr);
  std::abort();
}

}  // namespace finback
