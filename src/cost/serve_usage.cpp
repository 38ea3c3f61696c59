#include "cost/serve_usage.h"

#include <cmath>

#include "base/file.h"
#include "base/file_lock.h"

namespace finback {

double busy_seconds(const ServeUsage& u) { return u.cache_seconds + u.prefill_seconds + u.decode_seconds; }

namespace {

void check_usage(const ServeUsage& u, const std::string& what) {
  FB_CHECK(u.format_version == 1, "{}: expected usage format 1, got {}", what, u.format_version);
  for (const int64_t count : {u.devices - 1, u.requests, u.hit_tokens, u.missed_tokens, u.output_tokens})
    FB_CHECK(count >= 0 && count < int64_t{1} << 53, "{}: expected at least one device and no negative counters, got {}", what, count);
  for (const double seconds : {u.wall_seconds, u.cache_seconds, u.prefill_seconds, u.decode_seconds})
    FB_CHECK(std::isfinite(seconds) && seconds >= 0, "{}: expected seconds of at least 0, got {}", what, seconds);
  FB_CHECK(busy_seconds(u) <= u.wall_seconds * (1 + 1e-6), "{}: expected busy seconds within wall_seconds {}, got {}", what, u.wall_seconds,
           busy_seconds(u));
  FB_CHECK(u.missed_tokens == 0 || u.prefill_seconds > 0, "{}: expected prefill_seconds with {} missed_tokens, got 0", what,
           u.missed_tokens);
}

}  // namespace

ServeUsage read_usage(const std::filesystem::path& path) {
  ServeUsage usage;
  load_fields(usage, read_json(path), path.string());
  check_usage(usage, path.string());
  return usage;
}

void write_usage(const std::filesystem::path& path, ServeUsage& usage) { write_file_atomic(path, dump_json(dump_fields(usage))); }

void add_to_usage_file(const std::filesystem::path& path, const ServeUsage& own) {
  ServeUsage sum = own;
  std::error_code ignored;
  const bool is_device = std::filesystem::exists(path, ignored) && !std::filesystem::is_regular_file(path, ignored);
  if (is_device) return write_usage(path, sum);                                // a pipe, say: nothing can be read back from it
  const std::filesystem::path file = std::filesystem::weakly_canonical(path);  // one file has one lock, whatever its name
  const FileLock lock(file.string() + ".lock", std::chrono::minutes(1));
  FB_CHECK(lock.held(), "{}: expected to add to it, but another process has held {}.lock for a minute", path.string(), file.string());
  if (std::filesystem::exists(file)) {
    sum = read_usage(file);
    add_usage(sum, own);
  }
  write_usage(file, sum);
}

void add_usage(ServeUsage& sum, const ServeUsage& more) {
  FB_CHECK(sum.model == more.model && sum.device == more.device && sum.devices == more.devices,
           "usage of {} on {} x {} cannot be added to that of {} on {} x {}", more.model, more.devices, more.device, sum.model, sum.devices,
           sum.device);
  sum.requests += more.requests;
  sum.hit_tokens += more.hit_tokens, sum.missed_tokens += more.missed_tokens, sum.output_tokens += more.output_tokens;
  sum.wall_seconds += more.wall_seconds, sum.cache_seconds += more.cache_seconds;
  sum.prefill_seconds += more.prefill_seconds, sum.decode_seconds += more.decode_seconds;
}

}  // namespace finback
