#include "cost/serve_bill.h"

#include <cmath>

#include "base/file.h"
#include "base/timer.h"

namespace finback {
namespace {

double busy_seconds(const ServeUsage& u) { return u.cache_seconds + u.prefill_seconds + u.decode_seconds; }

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

void add_usage(ServeUsage& sum, const ServeUsage& more) {
  FB_CHECK(sum.model == more.model && sum.device == more.device && sum.devices == more.devices,
           "usage of {} on {} x {} cannot be added to that of {} on {} x {}", more.model, more.devices, more.device, sum.model, sum.devices,
           sum.device);
  sum.requests += more.requests;
  sum.hit_tokens += more.hit_tokens, sum.missed_tokens += more.missed_tokens, sum.output_tokens += more.output_tokens;
  sum.wall_seconds += more.wall_seconds, sum.cache_seconds += more.cache_seconds;
  sum.prefill_seconds += more.prefill_seconds, sum.decode_seconds += more.decode_seconds;
}

ServeBill serve_bill(const ServeUsage& u, double rate) {
  ServeBill bill;
  bill.price =
      rate > 0 ? Price{u.device, rate, "the rate that the user gave", "the user", utc_now().substr(0, 10), "given"} : price_of(u.device);
  const double second = bill.price.usd_per_hour * double(u.devices) / 3600;
  const auto per_million = [&](double seconds, int64_t tokens) { return tokens > 0 ? 1e6 * second * seconds / double(tokens) : 0; };
  bill.usd = second * u.wall_seconds;
  bill.busy_share = u.wall_seconds > 0 ? busy_seconds(u) / u.wall_seconds : 0;
  bill.usd_per_m_hit = per_million(u.cache_seconds, u.hit_tokens);
  bill.usd_per_m_missed = per_million(u.prefill_seconds, u.missed_tokens);
  bill.usd_per_m_output = per_million(u.decode_seconds, u.output_tokens);
  if (u.missed_tokens > 0) bill.usd_saved = 1e-6 * double(u.hit_tokens) * (bill.usd_per_m_missed - bill.usd_per_m_hit);
  return bill;
}

Json serve_bill_json(ServeUsage usage, const ServeBill& bill) {
  const double idle = bill.busy_share > 0 ? 1 / bill.busy_share : 0;
  const auto prices = [&](double factor) {
    return Json{{"input_hit", factor * bill.usd_per_m_hit},
                {"input_miss", factor * bill.usd_per_m_missed},
                {"output", factor * bill.usd_per_m_output}};
  };
  return {{"usage", dump_fields(usage)},
          {"usd", bill.usd},
          {"busy_share", bill.busy_share},
          {"usd_per_million", prices(1)},
          {"usd_per_million_with_idle_time", prices(idle)},
          {"usd_saved_by_cache", bill.usd_saved},
          {"usd_per_device_hour", bill.price.usd_per_hour},
          {"price", bill.price.what},
          {"price_source", bill.price.source},
          {"price_date", bill.price.date}};
}

std::string serve_bill_table(const ServeUsage& u, const ServeBill& bill) {
  std::string text = fmt::format("bill of serving {} on {} x {}: {} requests\n", u.model, u.devices, u.device, u.requests);
  const double idle = bill.busy_share > 0 ? 1 / bill.busy_share : 0;
  text += fmt::format("  {:<14} {:>12} {:>12} {:>12} {:>14}\n", "tokens", "number", "busy s", "$ a million", "with idle time");
  const auto line = [&](const char* name, int64_t tokens, double seconds, double usd) {
    text += fmt::format("  {:<14} {:>12} {:>12.3f} {:>12.4f} {:>14.4f}\n", name, tokens, seconds, usd, usd * idle);
  };
  line("input, cached", u.hit_tokens, u.cache_seconds, bill.usd_per_m_hit);
  line("input, new", u.missed_tokens, u.prefill_seconds, bill.usd_per_m_missed);
  line("output", u.output_tokens, u.decode_seconds, bill.usd_per_m_output);
  text += fmt::format("  total ${:.4f}: {} at ${:.4f} a {}-hour, {:.1f} % busy; the cache saved ${:.4f} [{}, {}]\n", bill.usd,
                      human_duration(u.wall_seconds), bill.price.usd_per_hour, u.device, 100 * bill.busy_share, bill.usd_saved,
                      bill.price.source, bill.price.date);
  return text;
}

}  // namespace finback
