// A lock between processes: a file that one of them holds (flock), freed by any death. The file goes away with the lock. Knows no formats.
#pragma once
#include <chrono>
#include <filesystem>

namespace finback {

class FileLock {
 public:
  // Makes `file` when it is absent and holds it; tries again for at most `patience` while another process does. Where the file system has no locks it
  // counts as held. Throws Error when the file cannot be made.
  FileLock(std::filesystem::path file, std::chrono::milliseconds patience);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  // false: another process holds it still.
  bool held() const { return fd_ >= 0; }

 private:
  bool try_once();
  std::filesystem::path file_;
  int fd_ = -1;
};

}  // namespace finback
