// The counters that a serving process keeps: tokens found in the cache, computed and produced, and what kept the devices busy. Knows no prices.
#pragma once
#include <filesystem>
#include <string>

#include "base/fields.h"

namespace finback {

// The file of those counters; additive, so that a process that ends can add its own to what is there.
struct ServeUsage {
  int64_t format_version = 1;
  std::string model, device = "cpu";
  int64_t devices = 1, requests = 0;
  int64_t hit_tokens = 0, missed_tokens = 0, output_tokens = 0;
  double wall_seconds = 0, cache_seconds = 0, prefill_seconds = 0, decode_seconds = 0;
};
template <class V>
void visit_fields(ServeUsage& u, V& v) {
  v("format_version", u.format_version, "version of this file");
  v("model", u.model, "what was served");
  v("device", u.device, "device in the price table");
  v("devices", u.devices, "vCPUs or accelerators that served together");
  v("requests", u.requests, "answered or begun");
  v("hit_tokens", u.hit_tokens, "prompt tokens found in the cache");
  v("missed_tokens", u.missed_tokens, "prompt tokens computed");
  v("output_tokens", u.output_tokens, "tokens produced");
  v("wall_seconds", u.wall_seconds, "with the model loaded, waiting included");
  v("cache_seconds", u.cache_seconds, "busy bringing cached tokens back");
  v("prefill_seconds", u.prefill_seconds, "busy reading prompts, the first token of each answer included");
  v("decode_seconds", u.decode_seconds, "busy with later tokens");
}

// Throws Error for counters that cannot be: negative, busy longer than there, tokens without time.
ServeUsage read_usage(const std::filesystem::path& path);
void write_usage(const std::filesystem::path& path, ServeUsage& usage);
// Adds `own` to what the file counts, which is nothing when it is not there. Processes that do so at once wait for each other (a lock beside the file).
// Throws Error as read_usage and add_usage do, and when others hold the lock for longer than a minute.
void add_to_usage_file(const std::filesystem::path& path, const ServeUsage& own);
// Sums; throws Error when model, device or their number differ.
void add_usage(ServeUsage& sum, const ServeUsage& more);

// Seconds of any kind of work.
double busy_seconds(const ServeUsage& usage);

}  // namespace finback
