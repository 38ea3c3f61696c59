#include "infer/disk_cache.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/error.h"
#include "base/status_line.h"

namespace finback {
namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kLongestUnnamed = kSecond / 2;  // between a file's first byte and its sync: with the sync itself less than a second
constexpr size_t kMostUnnamed = 64;               // files at a time: each holds a descriptor
constexpr int64_t kScanEvery = 10 * kSecond;      // of writing: other processes write and remove, too
constexpr int64_t kLongestExit = 5 * kSecond;

}  // namespace

DiskCache::DiskCache(const DiskCacheOptions& options) : options_(options) {
  try {
    folder_.emplace(options_.folder);
    keys_.emplace(folder_cache_secret(options_.folder));
    writer_ = std::thread([this] { run(); });
  } catch (const std::exception& e) {
    if (!keys_) keys_.emplace(random_cache_secret());
    turn_off(e.what());
  }
}

DiskCache::~DiskCache() {
  {
    const Lock lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (writer_.joinable()) writer_.join();
}

int64_t DiskCache::now() { return last_use_ = std::max(last_use_ + 1, cache_clock()); }

DiskCache::FileEntry& DiskCache::enter(const CacheKey& file, const FileEntry& entry) {
  forget(file);
  if (entry.place == Place::kFolder) by_use_.emplace(entry.used, file);
  if (entry.place != Place::kQueue) held_bytes_ += entry.bytes;
  return entries_[file] = entry;
}

void DiskCache::use(const CacheKey& file, FileEntry& entry, int64_t when) {
  if (entry.place == Place::kFolder) by_use_.erase({entry.used, file}), by_use_.emplace(when, file);
  entry.used = when;
}

void DiskCache::forget(const CacheKey& file) {
  const auto found = entries_.find(file);
  if (found == entries_.end()) return;
  if (found->second.place == Place::kFolder) by_use_.erase({found->second.used, file});
  if (found->second.place != Place::kQueue) held_bytes_ -= found->second.bytes;
  entries_.erase(found);
}

std::optional<DiskBlock> DiskCache::read(const CacheKey& file, const DiskBlock& expected, int64_t page_bytes, int64_t trailing_bytes) {
  if (!on_) return std::nullopt;
  // Without a look at the index: another process may have written it, or removed it, since.
  const int64_t size = disk_block_bytes(page_bytes, trailing_bytes);
  std::string bytes;
  const CacheFolder::Reading reading = folder_->read(file, size, bytes);
  std::optional<DiskBlock> block;
  if (reading == CacheFolder::Reading::kWhole) block = decode_disk_block(bytes);
  const bool ours = block && block->fingerprint == expected.fingerprint && block->parent == expected.parent &&
                    block->tokens == expected.tokens && int64_t(block->page.size()) == page_bytes;
  if (!ours && reading != CacheFolder::Reading::kAbsent) folder_->remove(file);
  const Lock lock(mutex_);
  const auto found = entries_.find(file);
  ++counters_.reads;
  if (!ours) {
    counters_.refused += reading != CacheFolder::Reading::kAbsent;
    if (found != entries_.end() && found->second.place == Place::kFolder) forget(file);
    return std::nullopt;
  }
  if (found == entries_.end()) enter(file, {.bytes = size, .used = now()});
  if (const auto entry = entries_.find(file); entry->second.place == Place::kFolder) entry->second.proven = true;
  ++counters_.hits, counters_.bytes_read += size;
  return block;
}

bool DiskCache::wants(const CacheKey& file, int64_t bytes) {
  if (!on_) return false;
  const Lock lock(mutex_);
  const auto known = entries_.find(file);
  const bool there = known != entries_.end() && (known->second.place != Place::kFolder || known->second.proven);
  if (there || bytes > options_.budget_bytes) return false;
  const bool room = queue_.empty() || queued_bytes_ + bytes <= options_.queue_bytes;
  counters_.dropped += !room;
  return room;
}

void DiskCache::write(const CacheKey& file, DiskBlock block) {
  const int64_t bytes = disk_block_bytes(int64_t(block.page.size()), int64_t(block.trailing.size()));
  {
    const Lock lock(mutex_);
    if (entries_.contains(file)) folder_->remove(file);  // else both would lie there for a while, beyond the budget
    enter(file, {.bytes = bytes, .used = now(), .place = Place::kQueue, .touched = true});
    touched_.push_back(file);
    queue_.push_back({file, bytes, std::move(block)});
    queued_bytes_ += bytes;
    counters_.most_queued_bytes = std::max(counters_.most_queued_bytes, queued_bytes_);
  }
  wake_.notify_all();
}

void DiskCache::touch(std::span<const CacheKey> files) {
  if (!on_) return;
  const Lock lock(mutex_);
  for (const CacheKey& file : files) {
    const auto found = entries_.find(file);
    if (found == entries_.end()) continue;
    use(file, found->second, now());
    if (!std::exchange(found->second.touched, true)) touched_.push_back(file);
  }
}

void DiskCache::sync() {
  if (!writer_.joinable()) return;
  Lock lock(mutex_);
  const int64_t mine = ++sync_asked_;
  wake_.notify_all();
  synced_.wait(lock, [&] { return sync_done_ >= mine; });
}

DiskCacheCounters DiskCache::counters() const {
  const Lock lock(mutex_);
  DiskCacheCounters now = counters_;
  now.files = int64_t(by_use_.size()), now.bytes = held_bytes_;
  return now;
}

// Once: it is already off when a second fault comes.
void DiskCache::turn_off(const std::string& why) {
  if (on_.exchange(false)) warn(fmt::format("the prefix cache on disk is off, answers go on without it: {}", why));
}

void DiskCache::drop_waiting() {
  for (const CacheFolder::Unnamed& file : unnamed_) folder_->discard(file);
  unnamed_.clear(), queue_.clear(), queued_bytes_ = 0;
}

// The writer. It holds the lock but for system calls.
void DiskCache::run() {
  Lock lock(mutex_);
  int64_t begun = 0, leave_at = 0;  // when the first of the unnamed files was written; when to go, whatever waits
  while (true) {
    try {
      if (on_ && (scanned_at_ == 0 || (!queue_.empty() && cache_clock() - scanned_at_ > kScanEvery))) scan(lock);
      if (on_ && !queue_.empty()) {
        if (unnamed_.empty()) begun = cache_clock();
        write_next(lock);
      }
      const bool asked = queue_.empty() && (stopping_ || sync_asked_ > sync_done_);
      if (asked || unnamed_.size() >= kMostUnnamed || cache_clock() - begun > kLongestUnnamed) {
        const int64_t done = queue_.empty() ? sync_asked_ : sync_done_;
        name_files(lock);
        write_times(lock);
        sync_done_ = done;
      }
    } catch (const std::exception& e) {
      turn_off(e.what());
      if (!lock.owns_lock()) lock.lock();
    }
    if (stopping_ && leave_at == 0) leave_at = cache_clock() + kLongestExit;
    if (stopping_ && cache_clock() > leave_at) counters_.dropped += int64_t(queue_.size()), queue_.clear();
    if (!on_) drop_waiting(), touched_.clear(), sync_done_ = sync_asked_;
    synced_.notify_all();
    if (stopping_ && queue_.empty() && unnamed_.empty()) return;
    const auto has_work = [&] { return stopping_ || !queue_.empty() || sync_asked_ > sync_done_; };
    if (unnamed_.empty() && touched_.empty()) {
      wake_.wait(lock, has_work);
    } else {
      wake_.wait_for(lock, std::chrono::nanoseconds(kLongestUnnamed), has_work);
    }
  }
}

// The folder as it is: what others wrote, used and removed since, and what they left when they were killed.
void DiskCache::scan(Lock& lock) {
  lock.unlock();
  const int64_t started = cache_clock();
  std::unordered_map<CacheKey, FileEntry, CacheKeyHash> found;
  folder_->list([&](const CacheKey& file, int64_t bytes, int64_t time) { found[file] = {.bytes = bytes, .used = time}; });
  lock.lock();
  std::vector<CacheKey> gone;
  for (const auto& [file, entry] : entries_) {
    if (entry.place == Place::kFolder && !found.contains(file)) gone.push_back(file);
  }
  for (const CacheKey& file : gone) forget(file);
  for (const auto& [file, entry] : found) {
    const auto known = entries_.find(file);
    if (known == entries_.end()) {
      enter(file, entry);
    } else if (known->second.place == Place::kFolder && known->second.used < entry.used) {
      use(file, known->second, entry.used);
    }
  }
  scanned_at_ = started;
}

// Before a file of so many bytes is written.
void DiskCache::make_room(Lock& lock, int64_t bytes) {
  std::vector<CacheKey> gone;
  while (held_bytes_ + bytes > options_.budget_bytes && !by_use_.empty()) {
    gone.push_back(by_use_.begin()->second);
    forget(gone.back());
  }
  counters_.evicted += int64_t(gone.size());
  lock.unlock();
  for (const CacheKey& file : gone) folder_->remove(file);
  lock.lock();
}

void DiskCache::write_next(Lock& lock) {
  const QueuedBlock next = std::move(queue_.front());
  queue_.pop_front();
  queued_bytes_ -= next.bytes;
  make_room(lock, next.bytes);
  if (held_bytes_ + next.bytes > options_.budget_bytes) {  // the rest is files without a name: with one they can go
    name_files(lock);
    make_room(lock, next.bytes);
  }
  lock.unlock();
  unnamed_.push_back(folder_->write(next.file, encode_disk_block(next.block)));
  lock.lock();
  const FileEntry queued = entries_.at(next.file);
  enter(next.file, {.bytes = next.bytes, .used = queued.used, .place = Place::kUnnamed, .touched = queued.touched});
}

// What is in the folder under its name was synced before.
void DiskCache::name_files(Lock& lock) {
  if (unnamed_.empty()) return;
  lock.unlock();
  std::vector<std::pair<CacheKey, bool>> named;
  while (!unnamed_.empty()) {
    const CacheFolder::Unnamed file = std::move(unnamed_.front());
    unnamed_.pop_front();
    named.emplace_back(file.file, folder_->give_name(file));
  }
  folder_->sync();
  lock.lock();
  for (const auto& [file, is_named] : named) {
    const FileEntry written = entries_.at(file);
    forget(file);
    if (is_named) enter(file, {.bytes = written.bytes, .used = written.used, .touched = written.touched, .proven = true});
    counters_.written += is_named;
  }
}

void DiskCache::write_times(Lock& lock) {
  std::vector<std::pair<CacheKey, int64_t>> times;
  for (const CacheKey& file : std::exchange(touched_, {})) {
    const auto found = entries_.find(file);
    if (found == entries_.end()) continue;
    if (found->second.place != Place::kFolder) {
      touched_.push_back(file);
      continue;
    }
    found->second.touched = false;
    times.emplace_back(file, found->second.used);
  }
  lock.unlock();
  for (const auto& [file, used] : times) folder_->set_time(file, used);
  lock.lock();
}

}  // namespace finback
