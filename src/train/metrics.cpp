#include "train/metrics.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/file.h"

namespace finback {

MetricsLog::MetricsLog(const std::filesystem::path& path, uint64_t keep_bytes, std::string machine)
    : path_(path), machine_(std::move(machine)), size_(keep_bytes) {
  fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  FB_CHECK(fd_ >= 0, "{}: cannot open for appending: {}", path.string(), std::strerror(errno));
  struct stat status {};
  const bool enough = ::fstat(fd_, &status) == 0 && uint64_t(status.st_size) >= keep_bytes;
  const bool cut = enough && ::ftruncate(fd_, off_t(keep_bytes)) == 0;
  if (!cut) ::close(fd_);
  FB_CHECK(enough, "{}: expected at least {} bytes as the checkpoint says, got {}. Hint: the file was changed after the checkpoint",
           path.string(), keep_bytes, status.st_size);
  FB_CHECK(cut, "{}: cannot cut to {} bytes: {}", path.string(), keep_bytes, std::strerror(errno));
}

MetricsLog::~MetricsLog() { ::close(fd_); }

void MetricsLog::append(Json line) {
  line["machine"] = machine_;
  std::string text = dump_json_line(line) + "\n";
  const FailAction action = failpoint("metrics");
  const size_t wanted = action == FailAction::kNone ? text.size() : action == FailAction::kShort ? text.size() / 2 : 0;
  ssize_t written;
  do {
    written = ::write(fd_, text.data(), wanted);
  } while (written < 0 && errno == EINTR);
  if (written == ssize_t(text.size())) {
    size_ += text.size();
    return;
  }
  const int why = written < 0 ? errno : ENOSPC;
  if (::ftruncate(fd_, off_t(size_)) != 0) FB_FAIL("{}: cannot write and cannot cut the torn line: {}", path_.string(), std::strerror(why));
  FB_FAIL("{}: cannot write: {}. Hint: free disk space; --resume goes on from the last checkpoint", path_.string(), std::strerror(why));
}

void MetricsLog::sync() { FB_CHECK(::fsync(fd_) == 0, "{}: cannot fsync: {}", path_.string(), std::strerror(errno)); }

}  // namespace finback
