#include "train/attempts.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace finback {
namespace fs = std::filesystem;
namespace {

constexpr std::chrono::milliseconds kPeriod{250};

struct Lines {
  std::vector<Attempt> attempts;
  uint64_t bytes = 0;  // of the whole lines: a killed append leaves a torn end
};

Lines read_lines(const fs::path& path) {
  Lines lines;
  if (!fs::exists(path)) return lines;
  const std::string text = read_file(path);
  for (size_t end; (end = text.find('\n', lines.bytes)) != std::string::npos; lines.bytes = end + 1) {
    const std::string what = fmt::format("{}:{}", path.string(), lines.attempts.size() + 1);
    const Json json = parse_json(std::string_view(text).substr(lines.bytes, end - lines.bytes), what);
    const Json& seconds = json_at(json, "seconds", what);
    FB_CHECK(seconds.is_number() && seconds.get<double>() >= 0, "{}: expected seconds of 0 or more, got {}", what, dump_json_line(seconds));
    lines.attempts.push_back({json_string(json, "started", what), json_integer(json, "devices", what, 1, 1 << 24), seconds.get<double>()});
  }
  return lines;
}

// Always as long, so that it can be rewritten in place: 17 places hold thirty million years.
std::string line_of(const Attempt& attempt, double seconds) {
  return fmt::format("{{\"started\": \"{}\", \"devices\": {}, \"seconds\": {:17.3f}}}\n", attempt.started, attempt.devices, seconds);
}

}  // namespace

std::vector<Attempt> read_attempts(const fs::path& path) { return read_lines(path).attempts; }

AttemptLog::AttemptLog(const fs::path& path, int64_t devices, Timer begun, bool goes_on) : own_{utc_now(), devices}, begun_(begun) {
  const Lines before = read_lines(path);
  FB_CHECK(!goes_on || !before.attempts.empty(),
           "{}: expected the hours of the attempts so far, got none. Hint: the bill counts them; bring the file back", path.string());
  for (const Attempt& attempt : before.attempts) {
    seconds_before_ += attempt.seconds;
    device_seconds_before_ += attempt.seconds * double(attempt.devices);
  }
  offset_ = int64_t(before.bytes);
  fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  FB_CHECK(fd_ >= 0, "{}: cannot open: {}", path.string(), std::strerror(errno));
  const bool written = ::ftruncate(fd_, offset_) == 0 && write_own(begun_.seconds()) && ::fsync(fd_) == 0;
  const int why = errno;
  if (!written) ::close(fd_);
  FB_CHECK(written, "{}: cannot write: {}. Hint: free disk space", path.string(), std::strerror(why));
  sync_directory(path.parent_path());
  writer_ = std::thread([this] { keep_writing(); });
}

AttemptLog::~AttemptLog() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  end_asked_.notify_one();
  writer_.join();
  write_own(begun_.seconds());
  ::close(fd_);
}

bool AttemptLog::write_own(double seconds) const {
  const std::string line = line_of(own_, seconds);
  return ::pwrite(fd_, line.data(), line.size(), offset_) == ssize_t(line.size());
}

// A rewrite in place needs no new disk space; where it fails all the same, the figure before it stands.
void AttemptLog::keep_writing() {
  std::unique_lock lock(mutex_);
  while (!end_asked_.wait_for(lock, kPeriod, [this] { return ending_; })) write_own(begun_.seconds());
}

}  // namespace finback
