#include "infer/cache_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/file.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kNanosecondsASecond = 1'000'000'000;
constexpr int64_t kOldTemporary = 60 * kNanosecondsASecond;  // a living writer names its files within a second

std::string disk_error() { return std::strerror(errno); }

// 32 hex digits.
std::string name_of(const CacheKey& file) { return fmt::format("{:016x}{:016x}", file[1], file[0]); }
std::optional<CacheKey> file_of(const std::string& name) {
  if (name.size() != 32 || name.find_first_not_of("0123456789abcdef") != std::string::npos) return std::nullopt;
  CacheKey file;
  std::from_chars(name.data(), name.data() + 16, file[1], 16);
  std::from_chars(name.data() + 16, name.data() + 32, file[0], 16);
  return file;
}

}  // namespace

int64_t cache_clock() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// What is in it tells what was talked about, so it is nobody else's.
CacheFolder::CacheFolder(fs::path path) : path_(std::move(path)) {
  if (path_.has_parent_path()) make_directories(path_.parent_path());
  if (::mkdir(path_.c_str(), 0700) != 0) FB_CHECK(errno == EEXIST, "{}: cannot make this folder: {}", path_.string(), disk_error());
  struct stat status {};
  FB_CHECK(::lstat(path_.c_str(), &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == ::geteuid(),
           "{}: expected a folder of this user", path_.string());
  if ((status.st_mode & 0777) != 0700)
    FB_CHECK(::chmod(path_.c_str(), 0700) == 0, "{}: cannot make it its owner's alone: {}", path_.string(), disk_error());
  std::memcpy(&next_temporary_, random_cache_secret().bytes.data(), sizeof next_temporary_);
}

fs::path CacheFolder::path_of(const CacheKey& file) const { return path_ / name_of(file); }

void CacheFolder::list(const std::function<void(const CacheKey&, int64_t, int64_t)>& visit) const {
  const int64_t now = cache_clock();
  for (const auto& item : fs::directory_iterator(path_)) {
    struct stat status {};
    if (::lstat(item.path().c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    const int64_t time = status.st_mtim.tv_sec * kNanosecondsASecond + status.st_mtim.tv_nsec;
    if (item.path().extension() == ".tmp" && now - time > kOldTemporary) ::unlink(item.path().c_str());
    if (const auto file = file_of(item.path().filename())) visit(*file, status.st_size, time);
  }
}

CacheFolder::Reading CacheFolder::read(const CacheKey& file, int64_t size, std::string& bytes) const {
  const int fd = ::open(path_of(file).c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return errno == ENOENT ? Reading::kAbsent : Reading::kOther;
  struct stat status {};
  const bool whole = ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size == size;
  bytes.assign(whole ? size_t(size) : 0, '\0');
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::read(fd, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    done += size_t(n);
  }
  ::close(fd);
  return whole && done == bytes.size() ? Reading::kWhole : Reading::kOther;
}

CacheFolder::Unnamed CacheFolder::write(const CacheKey& file, std::string_view bytes) {
  Unnamed unnamed{file, path_ / fmt::format("{}.{:016x}.tmp", name_of(file), next_temporary_++)};
  unnamed.fd = ::open(unnamed.path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  FB_CHECK(unnamed.fd >= 0, "{}: cannot create a file: {}", path_.string(), disk_error());
  errno = ENOSPC;
  bool good = failpoint("cache-write") == FailAction::kNone;
  while (good && !bytes.empty()) {
    const ssize_t n = ::write(unnamed.fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    good = n > 0;
    bytes.remove_prefix(size_t(good ? n : 0));
  }
  const std::string why = disk_error();
  if (!good) discard(unnamed);
  FB_CHECK(good, "{}: cannot write: {}", path_.string(), why);
  return unnamed;
}

bool CacheFolder::give_name(const Unnamed& unnamed) {
  const bool synced = ::fsync(unnamed.fd) == 0;
  const std::string why = disk_error();
  if (!synced) discard(unnamed);
  FB_CHECK(synced, "{}: cannot sync: {}", path_.string(), why);
  failpoint("cache-rename");
  const bool named = ::rename(unnamed.path.c_str(), path_of(unnamed.file).c_str()) == 0;
  const int error = errno;
  named ? void(::close(unnamed.fd)) : discard(unnamed);
  FB_CHECK(named || error == ENOENT, "{}: cannot rename: {}", path_.string(), std::strerror(error));
  return named;
}

void CacheFolder::sync() const { sync_directory(path_); }

void CacheFolder::discard(const Unnamed& unnamed) const {
  ::close(unnamed.fd);
  ::unlink(unnamed.path.c_str());
}

void CacheFolder::remove(const CacheKey& file) const { ::unlink(path_of(file).c_str()); }

void CacheFolder::set_time(const CacheKey& file, int64_t time) const {
  const timespec both[2] = {{time / kNanosecondsASecond, time % kNanosecondsASecond},
                            {time / kNanosecondsASecond, time % kNanosecondsASecond}};
  ::utimensat(AT_FDCWD, path_of(file).c_str(), both, AT_SYMLINK_NOFOLLOW);
}

}  // namespace finback
