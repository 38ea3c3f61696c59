#include "base/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

#include "base/error.h"

namespace finback {
namespace {

// Whether `path` still names the open file: its holder may have removed it between our open and our lock.
bool names_open_file(const std::filesystem::path& path, int fd) {
  struct stat open_file {};
  struct stat named {};
  return ::fstat(fd, &open_file) == 0 && ::stat(path.c_str(), &named) == 0 && open_file.st_dev == named.st_dev &&
         open_file.st_ino == named.st_ino;
}

}  // namespace

FileLock::FileLock(std::filesystem::path file, std::chrono::milliseconds patience) : file_(std::move(file)) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!try_once() && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(std::chrono::milliseconds(10));
}

bool FileLock::try_once() {
  const int fd = ::open(file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  FB_CHECK(fd >= 0, "{}: cannot create: {}. Hint: check that the folder is writable", file_.string(), std::strerror(errno));
  const bool locked = ::flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
  if (locked && names_open_file(file_, fd)) {
    fd_ = fd;
    return true;
  }
  ::close(fd);
  return false;
}

FileLock::~FileLock() {
  if (fd_ < 0) return;
  ::unlink(file_.c_str());  // before the lock is let go: behind it the file may be another's
  ::close(fd_);
}

}  // namespace finback
