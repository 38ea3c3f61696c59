// The disk tier of the prefix cache as files: a folder of pages (disk_block.h) within a budget of bytes, shared by processes and kept over restarts. A
// thread of its own writes; whoever gives it a page never waits. Knows no KV cache and no model.
//
// The folder is 0700 and holds `secret` (cache_key.h) and one file for each page, named by a hash alone. A file appears whole or not at all: temporary
// name, fsync, rename. Room is made before a file is written, by removing those that were not used for longest; a chain's pages are used from the last to
// the first, so what continues a page goes before it. Times of use are the files' mtimes. What is damaged, cut off, of other weights or somebody else's
// is a miss, and is removed. What cannot be written (a full disk) turns the tier off with one line on stderr, and answers go on.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "infer/cache_folder.h"
#include "infer/cache_key.h"
#include "infer/disk_block.h"

namespace finback {

struct DiskCacheOptions {
  std::filesystem::path folder;  // made with its parents
  int64_t budget_bytes = int64_t{4} << 30;
  int64_t queue_bytes = int64_t{64} << 20;  // of pages that wait for the writer; one more is not written
};

// What this process did with the folder, and what it knows of it.
struct DiskCacheCounters {
  int64_t files = 0, bytes = 0;              // there
  int64_t written = 0, evicted = 0;          // files
  int64_t dropped = 0;                       // pages that found no room in the queue
  int64_t reads = 0, hits = 0, refused = 0;  // files that were asked for, read, and found to be no page of ours
  int64_t bytes_read = 0, most_queued_bytes = 0;
};

class DiskCache {
 public:
  // A folder that cannot be used turns the tier off, with the line.
  explicit DiskCache(const DiskCacheOptions& options);
  // What waits is written, for at most five seconds.
  ~DiskCache();
  DiskCache(const DiskCache&) = delete;

  bool on() const { return on_; }
  // Those of the folder's secret; of this process alone when the tier is off.
  const CacheKeys& keys() const { return *keys_; }

  // The page in a file, when all of it is as expected: fingerprint, parent, tokens and the length of its parts. Anything else that is there is removed.
  std::optional<DiskBlock> read(const CacheKey& file, const DiskBlock& expected, int64_t page_bytes, int64_t trailing_bytes);
  // Whether a page of so many bytes would be written now: it is not on its way, nor there as far as this process has seen for itself (whoever computes a page
  // that lies there may have found the one before it damaged), and the queue has room. No room is counted.
  bool wants(const CacheKey& file, int64_t bytes);
  // In the place of a file that is there. REQUIRES: wants() said yes, and nothing was given in between.
  void write(const CacheKey& file, DiskBlock block);
  // These were used, the last one last.
  void touch(std::span<const CacheKey> files);
  // Returns when all that was given before is in the folder under its name, synced, with its time of use.
  void sync();
  DiskCacheCounters counters() const;

 private:
  enum class Place { kQueue, kUnnamed, kFolder };
  struct FileEntry {
    int64_t bytes = 0;
    int64_t used = 0;  // nanoseconds since 1970; no two files have the same
    Place place = Place::kFolder;
    bool touched = false;  // mtime is behind `used`
    bool proven = false;   // read or written by this process; what a scan found may be damaged
  };
  struct QueuedBlock {
    CacheKey file;
    int64_t bytes;
    DiskBlock block;
  };
  using Lock = std::unique_lock<std::mutex>;

  void run();
  void scan(Lock& lock);
  void make_room(Lock& lock, int64_t bytes);
  void write_next(Lock& lock);
  void name_files(Lock& lock);
  void write_times(Lock& lock);
  void turn_off(const std::string& why);
  void drop_waiting();
  FileEntry& enter(const CacheKey& file, const FileEntry& entry);
  void use(const CacheKey& file, FileEntry& entry, int64_t when);
  void forget(const CacheKey& file);
  int64_t now();

  DiskCacheOptions options_;
  std::optional<CacheFolder> folder_;  // none when the tier was off from the beginning
  std::optional<CacheKeys> keys_;
  std::atomic<bool> on_{true};

  mutable std::mutex mutex_;
  std::condition_variable wake_, synced_;
  std::unordered_map<CacheKey, FileEntry, CacheKeyHash> entries_;
  std::set<std::pair<int64_t, CacheKey>> by_use_;  // those in the folder, the one that was not used for longest first
  std::vector<CacheKey> touched_;
  std::deque<QueuedBlock> queue_;
  int64_t queued_bytes_ = 0, held_bytes_ = 0;  // of pages that wait; of files in the folder, temporary ones too
  int64_t last_use_ = 0, sync_asked_ = 0, sync_done_ = 0;
  bool stopping_ = false;
  DiskCacheCounters counters_;

  // The writer's own.
  std::deque<CacheFolder::Unnamed> unnamed_;  // in the order in which they were given: a chain's beginning has its name first
  int64_t scanned_at_ = 0;
  std::thread writer_;
};

}  // namespace finback
