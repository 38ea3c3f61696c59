#include "cost/serve_bill.h"

#include "base/timer.h"

namespace finback {
namespace {

Json prices_json(const TokenPrices& p) { return {{"input_hit", p.hit}, {"input_miss", p.missed}, {"output", p.output}}; }

}  // namespace

ServeBill serve_bill(const ServeUsage& u, double rate) {
  ServeBill bill;
  bill.price = rate > 0 ? given_price(u.device, rate, utc_now().substr(0, 10)) : price_of(u.device);
  const double second = bill.price.usd_per_hour * double(u.devices) / 3600;
  const auto per_million = [&](double seconds, int64_t tokens) { return tokens > 0 ? 1e6 * second * seconds / double(tokens) : 0; };
  bill.usd = second * u.wall_seconds;
  bill.busy_share = u.wall_seconds > 0 ? busy_seconds(u) / u.wall_seconds : 0;
  TokenPrices& busy = bill.busy;
  busy = {per_million(u.cache_seconds, u.hit_tokens), per_million(u.prefill_seconds, u.missed_tokens),
          per_million(u.decode_seconds, u.output_tokens)};
  const double idle = bill.busy_share > 0 ? 1 / bill.busy_share : 0;
  bill.with_idle = {idle * busy.hit, idle * busy.missed, idle * busy.output};
  if (u.missed_tokens > 0) bill.usd_saved = 1e-6 * double(u.hit_tokens) * (busy.missed - busy.hit);
  return bill;
}

Json serve_bill_json(ServeUsage usage, const ServeBill& bill) {
  return {{"usage", dump_fields(usage)},
          {"usd", bill.usd},
          {"busy_share", bill.busy_share},
          {"usd_per_million", prices_json(bill.busy)},
          {"usd_per_million_with_idle_time", prices_json(bill.with_idle)},
          {"usd_saved_by_cache", bill.usd_saved},
          {"usd_per_device_hour", bill.price.usd_per_hour},
          {"price", bill.price.what},
          {"price_source", bill.price.source},
          {"price_date", bill.price.date}};
}

std::string serve_bill_table(const ServeUsage& u, const ServeBill& bill) {
  std::string text = fmt::format("bill of serving {} on {} x {}: {} requests\n", u.model, u.devices, u.device, u.requests);
  text += fmt::format("  {:<14} {:>12} {:>12} {:>12} {:>14}\n", "tokens", "number", "busy s", "$ a million", "with idle time");
  const auto line = [&](const char* name, int64_t tokens, double seconds, double busy, double with_idle) {
    text += fmt::format("  {:<14} {:>12} {:>12.3f} {:>12.4f} {:>14.4f}\n", name, tokens, seconds, busy, with_idle);
  };
  line("input, cached", u.hit_tokens, u.cache_seconds, bill.busy.hit, bill.with_idle.hit);
  line("input, new", u.missed_tokens, u.prefill_seconds, bill.busy.missed, bill.with_idle.missed);
  line("output", u.output_tokens, u.decode_seconds, bill.busy.output, bill.with_idle.output);
  text += fmt::format("  total ${:.4f}: {} at ${:.4f} a {}-hour, {:.1f} % busy; the cache saved ${:.4f} [{}, {}]\n", bill.usd,
                      human_duration(u.wall_seconds), bill.price.usd_per_hour, u.device, 100 * bill.busy_share, bill.usd_saved,
                      bill.price.source, bill.price.date);
  return text;
}

}  // namespace finback
