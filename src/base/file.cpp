#include "base/file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <thread>
#include <utility>

#include "base/error.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

std::string reason() { return std::strerror(errno); }

struct Failpoint {
  std::string name;
  int countdown = 0;
  std::string action;
};
Failpoint& armed() {
  static Failpoint point;
  return point;
}

// write(2) until done; failpoint "write" can cut it short.
void write_all(int fd, const char* data, size_t bytes, const fs::path& path) {
  const FailAction action = failpoint("write");
  size_t allowed = bytes;
  if (action == FailAction::kShort) allowed = bytes / 2;
  if (action == FailAction::kFull) allowed = 0;
  for (size_t done = 0; done < allowed;) {
    const ssize_t n = ::write(fd, data + done, allowed - done);
    if (n < 0 && errno == EINTR) continue;
    FB_CHECK(n > 0, "{}: cannot write: {}. Hint: free disk space or check permissions", path.string(), reason());
    done += size_t(n);
  }
  FB_CHECK(allowed == bytes, "{}: cannot write: {}. Hint: free disk space or check permissions", path.string(), std::strerror(ENOSPC));
}

// Opens the temporary file of an atomic write, empty. It is locked while it is written: another process that writes the same file is waited for, as
// long as a small file takes, so that neither finds its bytes in the other's.
int open_temporary(const fs::path& path) {
  for (int tries = 0;; ++tries) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    FB_CHECK(fd >= 0, "{}: cannot create: {}. Hint: check that the folder exists and is writable", path.string(), reason());
    const bool locked = ::flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;  // a file system without locks goes without
    struct stat open_file {};
    struct stat named {};
    const bool ours = locked && ::fstat(fd, &open_file) == 0 && ::stat(path.c_str(), &named) == 0 && open_file.st_ino == named.st_ino;
    if (ours && ::ftruncate(fd, 0) == 0) return fd;
    const std::string why = reason();
    ::close(fd);
    FB_CHECK(!ours, "{}: cannot write: {}", path.string(), why);
    FB_CHECK(tries < 200, "{}: another process is writing this file. Hint: wait for it, or take another name", path.string());
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

void sync_fd(int fd, const fs::path& path) { FB_CHECK(::fsync(fd) == 0, "{}: cannot fsync: {}", path.string(), reason()); }

// A clone made without its large files has small text files that stand for them: without this every reader would tell its own parser's story.
void refuse_pointer(std::string_view bytes, const fs::path& path) {
  constexpr size_t kMaxPointer = 2048;
  if (bytes.size() > kMaxPointer) return;
  const std::string_view first = bytes.substr(0, bytes.find('\n'));
  const bool lfs = first.starts_with("version ") && first.find("/spec/v") != first.npos && bytes.find("\noid ") != bytes.npos;
  const bool annex = first.starts_with("/annex/objects/"), xet = first.starts_with("# xet version ");
  if (!lfs && !annex && !xet) return;
  const size_t size = bytes.find("\nsize ");
  const std::string_view digits = lfs && size != bytes.npos ? bytes.substr(size + 6, bytes.find('\n', size + 6) - size - 6) : "";
  FB_FAIL(
      "{}: expected the file itself, got a pointer of {} that stands for a large file{} which was not fetched. Hint: {}, or download it "
      "again",
      path.string(),
      lfs     ? "git-lfs"
      : annex ? "git-annex"
              : "Xet",
      digits.empty() ? "" : fmt::format(" of {} bytes", digits.substr(0, 20)),
      lfs     ? "git lfs pull in its folder"
      : annex ? "git annex get in its folder"
              : "git xet pull in its folder");
}

}  // namespace

std::string read_file(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  FB_CHECK(fd >= 0, "{}: cannot open: {}", path.string(), reason());
  std::string bytes;
  char buffer[1 << 16];
  ssize_t n;
  while ((n = ::read(fd, buffer, sizeof buffer)) != 0) {
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const std::string why = reason();
      ::close(fd);
      FB_FAIL("{}: cannot read: {}", path.string(), why);
    }
    bytes.append(buffer, size_t(n));
  }
  ::close(fd);
  refuse_pointer(bytes, path);
  return bytes;
}

void write_file_atomic(const fs::path& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void make_directories(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  FB_CHECK(!error && fs::is_directory(path), "{}: cannot make this folder: {}", path.string(),
           error ? error.message() : "a file has that name");
}

void sync_directory(const fs::path& folder) {
  const int fd = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  FB_CHECK(fd >= 0, "{}: cannot open folder: {}", folder.string(), reason());
  const int result = ::fsync(fd);
  ::close(fd);
  FB_CHECK(result == 0, "{}: cannot fsync folder: {}", folder.string(), reason());
}

uint64_t xxhash64(std::span<const std::byte> bytes, uint64_t seed) { return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed); }
uint64_t xxhash64(std::string_view bytes, uint64_t seed) { return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed); }
uint64_t hash_file(const fs::path& path) { return xxhash64(MappedFile(path).bytes()); }

AtomicFile::AtomicFile(fs::path path) : path_(std::move(path)) {
  std::error_code link_error;
  if (fs::is_symlink(path_, link_error)) {  // a rename would take the link's place
    FB_CHECK(!fs::is_directory(path_, link_error), "{}: expected a file to write, got a link to a folder", path_.string());
    path_ = fs::weakly_canonical(path_);
  }
  temporary_ = path_;
  std::error_code error;
  const fs::file_type type = fs::status(path_, error).type();
  // A device or a pipe (/dev/stdout) is written to directly: a rename would take its place.
  const bool direct =
      type == fs::file_type::character || type == fs::file_type::fifo || type == fs::file_type::socket || type == fs::file_type::block;
  if (!direct) {
    temporary_ += ".tmp";
    fd_ = open_temporary(temporary_);
    return;
  }
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CLOEXEC);
  FB_CHECK(fd_ >= 0, "{}: cannot create: {}. Hint: check that the folder exists and is writable", temporary_.string(), reason());
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  if (temporary_ != path_) ::unlink(temporary_.c_str());  // before the lock is let go
  ::close(fd_);
}

void AtomicFile::write(const void* data, size_t bytes) {
  write_all(fd_, static_cast<const char*>(data), bytes, temporary_);
  size_ += bytes;
}

void AtomicFile::write_at(uint64_t offset, const void* data, size_t bytes) {
  FB_ASSERT(offset + bytes <= size_, "write_at past the end");
  FB_CHECK(::pwrite(fd_, data, bytes, off_t(offset)) == ssize_t(bytes), "{}: cannot write: {}", temporary_.string(), reason());
}

void AtomicFile::commit() {
  if (temporary_ == path_) {
    const bool closed = ::close(std::exchange(fd_, -1)) == 0;
    FB_CHECK(closed, "{}: cannot write: {}", path_.string(), reason());
    return;
  }
  failpoint("before-fsync");
  sync_fd(fd_, temporary_);
  failpoint("before-rename");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {  // the destructor removes the temporary file
    const std::string why = reason();
    FB_FAIL("{}: cannot rename to {}: {}", temporary_.string(), path_.string(), why);
  }
  ::close(std::exchange(fd_, -1));  // and the lock with it: behind the rename, which shall publish these bytes
  failpoint("after-rename");
  sync_directory(path_.parent_path());
}

MappedFile::MappedFile(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  FB_CHECK(fd >= 0, "{}: cannot open: {}", path.string(), reason());
  struct stat status {};
  const bool regular = ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  void* map = nullptr;
  if (regular && status.st_size > 0) map = ::mmap(nullptr, size_t(status.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
  const std::string why = reason();
  ::close(fd);
  FB_CHECK(regular, "{}: expected a regular file", path.string());
  FB_CHECK(map != MAP_FAILED, "{}: cannot map: {}", path.string(), why);
  data_ = static_cast<const std::byte*>(map);
  size_ = size_t(status.st_size);
  try {
    refuse_pointer({reinterpret_cast<const char*>(data_), size_}, path);
  } catch (...) {
    if (data_) ::munmap(map, size_);
    throw;
  }
}

MappedFile::MappedFile(MappedFile&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<std::byte*>(data_), size_);
}

void arm_failpoint(std::string_view specification) {
  const size_t first = specification.find(':'), last = specification.rfind(':');
  const bool shaped = first != std::string_view::npos && last > first;
  FB_CHECK(shaped, "--failpoint: expected NAME:COUNT:ACTION, got \"{}\"", specification);
  Failpoint& point = armed();
  point.name = specification.substr(0, first);
  const std::string_view count = specification.substr(first + 1, last - first - 1);
  const auto [stop, error] = std::from_chars(count.data(), count.data() + count.size(), point.countdown);
  point.action = specification.substr(last + 1);
  const bool known = point.action == "kill" || point.action == "short" || point.action == "full";
  const bool counted = error == std::errc() && stop == count.data() + count.size() && point.countdown >= 1;
  FB_CHECK(known && counted, "--failpoint: expected COUNT >= 1 and ACTION kill, short or full, got \"{}\"", specification);
}

FailAction failpoint(std::string_view name) {
  Failpoint& point = armed();
  if (point.name.empty() || point.name != name || --point.countdown != 0) return FailAction::kNone;
  if (point.action == "kill") ::raise(SIGKILL);
  return point.action == "short" ? FailAction::kShort : FailAction::kFull;
}

}  // namespace finback
