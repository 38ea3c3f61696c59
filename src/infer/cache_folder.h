// A folder of files that are named by hashes: the system calls under the disk tier of the prefix cache, and nothing of its order. 0700; a file appears
// whole or not at all (temporary name, fsync, rename). No locks: one thread writes, any thread reads and removes, and other processes do the same.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "infer/cache_key.h"

namespace finback {

class CacheFolder {
 public:
  // A file under its temporary name.
  struct Unnamed {
    CacheKey file = {};
    std::filesystem::path path;
    int fd = -1;
  };
  enum class Reading { kWhole, kAbsent, kOther };

  // Made, with its parents, when it is not there. Throws Error when it cannot be the owner's alone.
  explicit CacheFolder(std::filesystem::path path);
  const std::filesystem::path& path() const { return path_; }
  // Calls with each file's name, size and mtime (nanoseconds since 1970). Temporary files that no living process can hold any more are removed.
  void list(const std::function<void(const CacheKey& file, int64_t bytes, int64_t time)>& visit) const;
  // kOther: something is there that is no regular file of so many bytes, or cannot be read.
  Reading read(const CacheKey& file, int64_t size, std::string& bytes) const;
  // Writes a file that has no name yet. Throws Error; nothing is left then. Failpoint "cache-write".
  Unnamed write(const CacheKey& file, std::string_view bytes);
  // Syncs it and gives it its name. False: its temporary file was removed (it stood too long). Throws Error. Failpoint "cache-rename".
  bool give_name(const Unnamed& unnamed);
  // Makes the names that were given durable. Throws Error.
  void sync() const;
  void discard(const Unnamed& unnamed) const;
  void remove(const CacheKey& file) const;
  void set_time(const CacheKey& file, int64_t time) const;  // a file that vanished has none

 private:
  std::filesystem::path path_of(const CacheKey& file) const;

  std::filesystem::path path_;
  uint64_t next_temporary_;  // random at first: no other process has the same
};

// Wall clock, nanoseconds since 1970.
int64_t cache_clock();

}  // namespace finback
