// Runs another program: no shell, so no quoting; its output is collected. Safe beside running threads (posix_spawn). One thread.
#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace finback {

struct ChildResult {
  bool found = true;   // false: no such program
  int exit_code = 0;   // 128 + signal when it was killed
  std::string output;  // stdout and stderr, the last 64 KiB
  // The last line that says something, for an error of one line.
  std::string last_line() const;
};

// words[0] is looked for in PATH; it runs in `folder` with an empty stdin. on_wait is called about five times a second.
ChildResult run_program(const std::vector<std::string>& words, const std::filesystem::path& folder,
                        const std::function<void()>& on_wait = nullptr);

}  // namespace finback
