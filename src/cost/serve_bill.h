// What serving did cost: dollars a million input tokens, found in the cache and computed, and output tokens, from the counters that a serving process keeps. A token
// pays for the seconds that its own kind of work kept the devices busy; waiting for requests is shown beside it, shared out by busy time.
#pragma once
#include <filesystem>
#include <string>

#include "base/fields.h"
#include "cost/prices.h"

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
// Sums; throws Error when model, device or their number differ.
void add_usage(ServeUsage& sum, const ServeUsage& more);

struct ServeBill {
  Price price;
  double usd = 0, busy_share = 0;                                        // of everything; busy seconds / wall seconds
  double usd_per_m_hit = 0, usd_per_m_missed = 0, usd_per_m_output = 0;  // busy time alone; 0: no such token
  double usd_saved = 0;                                                  // hits at the price of misses, less their own
};
// rate 0: the price table's.
ServeBill serve_bill(const ServeUsage& usage, double rate_usd_per_device_hour);
Json serve_bill_json(ServeUsage usage, const ServeBill& bill);
std::string serve_bill_table(const ServeUsage& usage, const ServeBill& bill);

}  // namespace finback
