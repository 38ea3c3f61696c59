#include "base/error.h"

#include <cstdio>
#include <cstdlib>

namespace finback {

void assert_failed(const char* condition, const char* file, int line, const std::string& meaning) {
  fmt::print(stderr, "finback: broken invariant `{}` at {}:{}{}{}\n", condition, file, line, meaning.empty() ? "" : ": ", meaning);
  std::fflush(stderr);
  std::abort();
}

}  // namespace finback
