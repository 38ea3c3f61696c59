// attempts.jsonl: the hours that a run's bill counts. One line an attempt (a process that held the run folder), appended when it begins and
// never cut, so time behind the last checkpoint, whose metrics lines a resume cuts off, stays on the bill. The living attempt's line has a
// fixed width and its seconds are rewritten in place by a thread of its own, four times a second: a kill loses no more than that, however
// long a step or an evaluation takes.
#pragma once
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/timer.h"

namespace finback {

struct Attempt {
  std::string started;  // UTC
  int64_t devices = 1;  // vCPUs or accelerators
  double seconds = 0;
};
// Whole lines, in order; none of an absent file. Throws Error for a line that is not an attempt's.
std::vector<Attempt> read_attempts(const std::filesystem::path& path);

class AttemptLog {
 public:
  // Reads the attempts before and appends this one's line, begun at `begun`. `goes_on`: the run has a checkpoint, so somebody made it: a file
  // without attempts is an Error.
  AttemptLog(const std::filesystem::path& path, int64_t devices, Timer begun, bool goes_on);
  ~AttemptLog();  // writes the last figure
  AttemptLog(const AttemptLog&) = delete;

  int64_t devices() const { return own_.devices; }
  double seconds() const { return seconds_before_ + begun_.seconds(); }  // of all attempts
  double own_device_seconds() const { return begun_.seconds() * double(own_.devices); }
  double device_seconds() const { return device_seconds_before_ + begun_.seconds() * double(own_.devices); }

 private:
  bool write_own(double seconds) const;
  void keep_writing();

  int fd_ = -1;
  int64_t offset_ = 0;  // of the own line
  Attempt own_;
  Timer begun_;
  double seconds_before_ = 0, device_seconds_before_ = 0;
  bool ending_ = false;
  std::mutex mutex_;
  std::condition_variable end_asked_;
  std::thread writer_;
};

}  // namespace finback
